# SPDX-License-Identifier: Apache-2.0
"""What unit tests of the way to AWS ask: a web server, instance metadata (IMDSv2 only), a container's credentials
agent, and services that check Signature Version 4 by the book. Loopback only. Says its ports (HTTP, and HTTPS or 0), and
ends when its standard input does."""

import hashlib
import hmac
import http.server
import json
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

KEYS = {  # access key -> (secret, session token)
    "AKIDENVIRONMENT": ("environment/secret+key", "environment/session+token=="),
    "AKIDPLAIN": ("plain/secret+key", None),
    "AKIDCONTAINER": ("container/secret+key", "container/session+token=="),
    "AKIDROLE": ("role/secret+key", "role/session+token=="),
}
DOCUMENT = {
    "accountId": "123456789012",
    "architecture": "x86_64",
    "availabilityZone": "eu-central-1b",
    "imageId": "ami-0123456789abcdef0",
    "instanceId": "i-0123456789abcdef0",
    "instanceType": "m7i.large",
    "privateIp": "10.1.2.3",
    "region": "eu-central-1",
    "version": "2017-09-30",
}
MAC = "02:00:00:00:00:01"
METADATA = {
    "dynamic/instance-identity/document": json.dumps(DOCUMENT),
    "meta-data/services/partition": "aws",
    "meta-data/placement/availability-zone-id": "euc1-az3",
    "meta-data/mac": MAC,
    f"meta-data/network/interfaces/macs/{MAC}/vpc-id": "vpc-0123456789abcdef0",
    f"meta-data/network/interfaces/macs/{MAC}/subnet-id": "subnet-0123456789abcdef0",
    "meta-data/tags/instance": "Name\nté:am",
    "meta-data/tags/instance/Name": "web 1",
    "meta-data/tags/instance/té:am": "påyments",
    "meta-data/iam/security-credentials/": "the-role",
}

over = threading.Event()
counts = {}
streams = {}  # (group, stream) -> [[timestamp, message]…]
objects = {}  # path -> [Content-Type, text]


def credentials_of(key):
    secret, token = KEYS[key]
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    return json.dumps(
        {"Code": "Success", "AccessKeyId": key, "SecretAccessKey": secret, "Token": token, "Expiration": expires}
    )


def why_not_signed(request, body):
    """Signature Version 4, checked as AWS describes it; "" when all is well."""
    kind, _, rest = request.headers.get("Authorization", "").partition(" ")
    if kind != "AWS4-HMAC-SHA256":
        return "not signed"
    parts = dict(p.strip().split("=", 1) for p in rest.split(","))
    access, date, region, service, end = parts["Credential"].split("/")
    if access not in KEYS or end != "aws4_request":
        return f"unknown key {access}"
    secret, token = KEYS[access]
    present = {name.lower(): " ".join(value.split()) for name, value in request.headers.items()}
    if present.get("x-amz-security-token") != token:
        return "another session token"
    must = {"host"} | {n for n in present if n.startswith("x-amz-") or n == "content-type"}
    signed = parts["SignedHeaders"].split(";")
    if signed != sorted(signed) or not must <= set(signed) or "x-amz-date" not in signed:
        return f"signed are {signed} of {sorted(must)}"
    if service == "s3" and "x-amz-content-sha256" not in signed:
        return "S3 wants x-amz-content-sha256"
    digest = hashlib.sha256(body).hexdigest()
    payload = present.get("x-amz-content-sha256", digest)
    if payload not in (digest, "UNSIGNED-PAYLOAD"):
        return "another body"
    url = urllib.parse.urlsplit(request.path)
    query = "&".join(sorted(url.query.split("&"))) if url.query else ""
    headers = "".join(f"{n}:{present[n]}\n" for n in signed)
    canonical = "\n".join([request.command, url.path, query, headers, ";".join(signed), payload])
    scope = "/".join([date, region, service, end])
    text = "\n".join([kind, present["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in (date, region, service, end):
        key = hmac.digest(key, part.encode(), "sha256")
    if hmac.digest(key, text.encode(), "sha256").hex() != parts["Signature"]:
        return "wrong signature"
    return ""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, text=""):
        data = text if isinstance(text, bytes) else text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def metadata(self, path):
        """Every answer but the token's needs the token."""
        if path == "api/token":
            if self.command != "PUT" or not self.headers.get("X-aws-ec2-metadata-token-ttl-seconds"):
                return self.answer(400)
            return self.answer(200, "the-token")
        if self.headers.get("X-aws-ec2-metadata-token") != "the-token":
            return self.answer(401)
        path = urllib.parse.unquote(path)
        if path == "meta-data/iam/security-credentials/the-role":
            return self.answer(200, credentials_of("AKIDROLE"))
        return self.answer(200, METADATA[path]) if path in METADATA else self.answer(404)

    def container(self):
        if self.headers.get("Authorization") != "the container's token":
            return self.answer(401)
        return self.answer(200, credentials_of("AKIDCONTAINER"))

    def signed(self, body):
        why = why_not_signed(self, body)
        scope = self.headers.get("Authorization", "").partition("Credential=")[2].partition(",")[0]
        return self.answer(403, why) if why else self.answer(200, f"{self.command} {scope} {body.decode()}")

    def cloudwatch(self, body):
        """DescribeAlarms in JSON, of alarms that are known by their names."""
        why = why_not_signed(self, body)
        if why:
            return self.answer(403, json.dumps({"__type": "com.amazon#SignatureDoesNotMatch", "message": why}))
        if (
            self.headers["Content-Type"] != "application/x-amz-json-1.0"
            or self.headers["X-Amz-Target"] != "GraniteServiceVersion20100801.DescribeAlarms"
        ):
            return self.answer(404)
        asked = json.loads(body)
        if asked["AlarmTypes"] != ["MetricAlarm", "CompositeAlarm"] or len(asked["AlarmNames"]) != 1:
            return self.answer(400, json.dumps({"__type": "com.amazon#ValidationError", "message": "types, names"}))
        name = asked["AlarmNames"][0]
        times = counts["alarm " + name] = counts.get("alarm " + name, 0) + 1
        if name == "denied":
            text = {"__type": "com.amazonaws.monitoring#AccessDenied", "message": "this role may not"}
            return self.answer(400, json.dumps(text))
        if name == "flaky" and times < 3:
            return self.answer(503, "try\nagain")
        if name == "always 500":
            return self.answer(500, "{")
        if name == "nonsense":
            return self.answer(200, "[")
        if name == "silent":
            over.wait()
            return None
        region = self.headers["Authorization"].split("/")[2]
        states = {"fine": "OK", "new": "INSUFFICIENT_DATA", "red alert": "ALARM", "flaky": "OK", "odd": "PURPLE"}
        states |= {"both": "ALARM", "turns": "OK" if times < 3 else "ALARM"}
        alarms = [
            {"AlarmName": n, "AlarmArn": f"arn:aws:cloudwatch:{region}:123456789012:alarm:{n}", "StateValue": s}
            for n, s in states.items()
            if n == name
        ]
        composite = name == "both"
        answer = {"MetricAlarms": [] if composite else alarms, "CompositeAlarms": alarms if composite else []}
        return self.answer(200, json.dumps(answer))

    def refuse(self, name, message):
        return self.answer(400, json.dumps({"__type": f"com.amazonaws.logs#{name}", "message": message}))

    def logs(self, body):
        """CloudWatch Logs. Groups are known by their names, and what is wrong with them."""
        why = why_not_signed(self, body)
        if why:
            return self.refuse("InvalidSignatureException", why)
        if self.headers["Content-Type"] != "application/x-amz-json-1.1":
            return self.answer(404)
        target = self.headers["X-Amz-Target"]
        asked = json.loads(body)
        group, stream = asked["logGroupName"], asked["logStreamName"]
        times = counts[f"{target} {group}"] = counts.get(f"{target} {group}", 0) + 1
        if group == "denied":
            return self.refuse("AccessDeniedException", "this role may not")
        if group == "flaky" and times < 3:
            return self.answer(503)
        if group == "hangs":
            return over.wait()
        if target == "Logs_20140328.CreateLogStream":
            if (group, stream) in streams:
                return self.refuse("ResourceAlreadyExistsException", "there is one")
            streams[group, stream] = []
            return self.answer(200)
        if target != "Logs_20140328.PutLogEvents" or (group, stream) not in streams:
            return self.refuse("ResourceNotFoundException", "no such stream")
        events = [[e["timestamp"], e["message"]] for e in asked["logEvents"]]
        order = [t for t, _ in events]
        if order != sorted(order) or order[-1] - order[0] > 24 * 3600 * 1000:
            return self.refuse("InvalidParameterException", "out of order")
        if sum(len(m.encode()) + 26 for _, m in events) > 1048576 or len(events) > 10000:
            return self.refuse("InvalidParameterException", "too much")
        if group == "old":
            return self.answer(200, json.dumps({"rejectedLogEventsInfo": {"tooOldLogEventEndIndex": 2}}))
        streams[group, stream] += events
        return self.answer(200, "{}")

    def s3(self, path, body):
        why = why_not_signed(self, body)
        if why:
            return self.answer(403, f"<Error><Code>SignatureDoesNotMatch</Code><Message>{why}</Message></Error>")
        if path.startswith("nobodys/"):
            return self.answer(404, "<Error>\n<Code>NoSuchBucket</Code>\n</Error>")
        objects[path] = [self.headers["Content-Type"], body.decode()]
        return self.answer(200)

    def dump(self, what):
        if what == "objects":
            return self.answer(200, "".join(f"{p} {kind}\n{text}" for p, (kind, text) in sorted(objects.items())))
        group, _, stream = what.partition("/aws/fis/")
        return self.answer(200, "".join(f"{t} {m}\n" for t, m in streams.get((group, "/aws/fis/" + stream), [])))

    def handle_one(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        kind, _, rest = url.path[1:].partition("/")
        counts[kind] = counts.get(kind, 0) + 1
        if kind == "plain":
            self.answer(200, f"{self.command} {self.headers.get('X-Test', '')} {body.decode()}")
        elif kind == "status":
            self.answer(int(rest), "as you wish")
        elif kind == "moved":
            self.send_response(302)
            self.send_header("Location", "/plain")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif kind == "large":
            self.answer(200, b"x" * int(rest))
        elif kind == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
            self.close_connection = True
        elif kind == "silent":
            over.wait()
            self.close_connection = True
        elif kind == "count":
            self.answer(200, str(counts.get(rest, 0)))
        elif kind in ("imds", "no-role"):
            if kind == "no-role" and "security-credentials" in rest:
                self.answer(404)
            else:
                self.metadata(rest.removeprefix("latest/"))
        elif kind == "no-imds":
            self.answer(404)
        elif kind == "container":
            self.container()
        elif kind == "signed":
            self.signed(body)
        elif kind == "logs":
            self.logs(body)
        elif kind == "s3":
            self.s3(rest, body)
        elif kind == "dump":
            self.dump(rest)
        elif kind == "cloudwatch":
            self.cloudwatch(body)
        else:
            self.answer(404)

    do_GET = do_POST = do_PUT = handle_one


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Clients that go away in the middle are what the tests are about."""


def serve_tls():
    """The port of a server whose certificate nobody has vouched for; 0 without openssl to make one."""
    if not shutil.which("openssl"):
        return 0
    with tempfile.TemporaryDirectory() as folder:
        pem = pathlib.Path(folder) / "pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", pem, "-out", pem.with_suffix(".crt")],
            check=True, capture_output=True,
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem.with_suffix(".crt"), pem)
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def main():
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], serve_tls(), flush=True)
    sys.stdin.read()
    over.set()
    server.shutdown()


if __name__ == "__main__":
    main()
