# SPDX-License-Identifier: Apache-2.0
"""Requests over TCP: signed as AWS's SDKs sign them, or refused. What the operations answer is not told here."""

import concurrent.futures
import contextlib
import datetime
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import time
import urllib.parse

import pytest

botocore = pytest.importorskip("botocore")

import boto3  # noqa: E402
import botocore.auth  # noqa: E402
import botocore.awsrequest  # noqa: E402
import botocore.config  # noqa: E402
import botocore.credentials  # noqa: E402
import botocore.exceptions  # noqa: E402

from lib import harness  # noqa: E402
from lib.harness import wait_for  # noqa: E402

KEY = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None)
WITH_TOKEN = ("ASIAIOSFODNN7EXAMPLE", "another/secret+of=theirs", "IQoJb3JpZ2luX2VjE//token+/==")
REGION = "eu-central-1"
ARN = "arn:aws:fis:eu-central-1:000000000000:experiment-template/EXT1 2~+x"
NOT_SIGNED = {"MissingAuthenticationTokenException", "IncompleteSignatureException", "InvalidSignatureException",
              "UnrecognizedClientException", "AccessDeniedException"}
MIB = 1024 * 1024


def key_json(key):
    return {"accessKeyId": key[0], "secretAccessKey": key[1], **({"sessionToken": key[2]} if key[2] else {})}


def config(listen="127.0.0.1:0", keys=(KEY, WITH_TOKEN), **more):
    return {"fis": {"listen": listen, "region": REGION, "metadata": "off"}, "accessKeys": [key_json(k) for k in keys], **more}


class Signed(harness.Faultd):
    """A faultd that listens on TCP too."""

    @property
    def url(self):
        wait_for(lambda: "FIS API on http://" in self.log(), "it says where it listens")
        return re.findall(r"FIS API on (http://\S+)", self.log())[-1]

    @property
    def port(self):
        return urllib.parse.urlsplit(self.url).port

    def client(self, key=KEY, region=REGION):
        return boto3.client("fis", endpoint_url=self.url, region_name=region, aws_access_key_id=key[0], aws_secret_access_key=key[1],
                            aws_session_token=key[2], config=botocore.config.Config(retries={"max_attempts": 0}))

    def headers(self, method, target, body=b"", key=KEY, headers=None, host=None, region=REGION, service="fis", clock_s=0,
                signer=botocore.auth.SigV4Auth):
        """What a client of AWS would send with this request; the target as it is."""
        host = host or f"127.0.0.1:{self.port}"
        request = botocore.awsrequest.AWSRequest(method=method, url=f"http://127.0.0.1{target}", data=body,
                                                 headers={"Host": host, **(headers or {})})
        signer = signer(botocore.credentials.Credentials(*key), service, region)
        now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=clock_s)
        with pytest.MonkeyPatch.context() as m:
            m.setattr(botocore.auth, "get_current_datetime", lambda *a, **k: now)
            signer.add_auth(request)
        return dict(request.headers.items())

    def send(self, method, target, body=b"", headers=None):
        """(status, name of the error, JSON), over TCP."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.PATIENCE)
        with contextlib.closing(connection):
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            text = response.read()
            assert response.getheader("Content-Type") == "application/json"
            return response.status, response.getheader("x-amzn-ErrorType"), json.loads(text)

    def ask(self, method="GET", target="/experiments", body=b"", **kwargs):
        return self.send(method, target, body, self.headers(method, target, body, **kwargs))


@pytest.fixture
def signed(tmp_path, alone):
    d = Signed(tmp_path / "faultd", config=config())
    yield d
    d.close()


def admitted(answer):
    """It came as far as the operation, whatever that said."""
    return answer[0] not in (401, 403) and answer[1] not in NOT_SIGNED


def assert_refused(answer, name, says=""):
    status, error, body = answer
    assert (status, error) == (403, name), answer
    assert list(body) == ["message"] and says in body["message"], body


OPERATIONS = [
    ("list_experiments", {"maxResults": 5, "nextToken": "a=b&c/+ ü"}),
    ("get_action", {"id": "aws:fis:wait"}),
    ("get_target_resource_type", {"resourceType": "aws:ec2:instance"}),
    ("list_tags_for_resource", {"resourceArn": ARN}),
    ("tag_resource", {"resourceArn": ARN, "tags": {"a b": "ü€"}}),
    ("untag_resource", {"resourceArn": ARN, "tagKeys": ["b c", "a+ü/~", "a", "B", "a%41"]}),
    ("start_experiment", {"clientToken": "t", "experimentTemplateId": "EXT1"}),
    ("stop_experiment", {"id": "EXP1"}),
    ("update_experiment_template", {"id": "EXT1", "description": "ü"}),
    ("update_safety_lever_state", {"id": "default", "state": {"status": "disengaged", "reason": "x"}}),
    ("get_target_account_configuration", {"experimentTemplateId": "EXT1", "accountId": "000000000000"}),
    ("list_experiment_resolved_targets", {"experimentId": "EXP1", "targetName": "a/b"}),
]


@pytest.mark.parametrize("key", [KEY, WITH_TOKEN], ids=["key", "token"])
def test_what_boto3_signs_is_let_in(signed, key):
    client = signed.client(key)
    for operation, arguments in OPERATIONS:
        try:
            getattr(client, operation)(**arguments)
        except botocore.exceptions.ClientError as e:
            assert e.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 402, 404, 405, 409), e
            assert e.response["Error"]["Code"] not in NOT_SIGNED, e


@pytest.mark.parametrize("key,name", [
    ((KEY[0], KEY[1][:-1], None), "InvalidSignatureException"),
    ((KEY[0], WITH_TOKEN[1], None), "InvalidSignatureException"),
    (("AKIANOBODY", KEY[1], None), "UnrecognizedClientException"),
    (KEY[:2] + ("token",), "UnrecognizedClientException"),
    (WITH_TOKEN[:2] + (None,), "UnrecognizedClientException"),
    (WITH_TOKEN[:2] + (WITH_TOKEN[2] + "x",), "UnrecognizedClientException"),
], ids=["secret", "another's secret", "key", "token for none", "no token", "token"])
def test_boto3_hears_why_not(signed, key, name):
    with pytest.raises(botocore.exceptions.ClientError) as e:
        signed.client(key).list_actions()
    assert e.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert e.value.response["Error"]["Code"] == name
    assert e.value.response["Error"]["Message"]


def test_nothing_of_it_can_be_changed(signed):
    body = b'{"clientToken":"t","experimentTemplateId":"EXT1"}'
    good = signed.headers("POST", "/experiments?a=1", body)
    assert admitted(signed.send("POST", "/experiments?a=1", body, good))
    for method, target, changed in (("PATCH", "/experiments?a=1", body), ("POST", "/experimentTemplates?a=1", body),
                                    ("POST", "/experiments?a=2", body), ("POST", "/experiments?a=1&b=1", body),
                                    ("POST", "/experiments?a=1", body + b" "), ("POST", "/experiments?a=1", b"")):
        assert_refused(signed.send(method, target, changed, good), "InvalidSignatureException", "does not match the signature")
    assert_refused(signed.send("POST", "/experiments?a=1", body, {**good, "X-Amz-Target": "x"}), "InvalidSignatureException",
                   "'SignedHeader'")
    assert admitted(signed.send("POST", "/experiments?a=1", body, {**good, "User-Agent": "x", "amz-sdk-request": "attempt=1"}))


def test_without_a_right_signature(signed):
    assert_refused(signed.send("GET", "/experiments", headers={"Host": "localhost"}), "MissingAuthenticationTokenException",
                   "Missing Authentication Token")
    assert_refused(signed.ask(clock_s=-330), "InvalidSignatureException", "Signature expired")
    assert_refused(signed.ask(clock_s=330), "InvalidSignatureException", "not yet current")
    assert admitted(signed.ask(clock_s=-240)) and admitted(signed.ask(clock_s=240))
    assert_refused(signed.ask(region="us-east-1"), "InvalidSignatureException", REGION)
    assert_refused(signed.ask(service="sts"), "InvalidSignatureException", "service: 'fis'")
    for hashed in ("UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
        assert_refused(signed.ask("POST", body=b"{}", headers={"X-Amz-Content-SHA256": hashed}), "InvalidSignatureException",
                       "x-amz-content-sha256")
    for value in ("", "Basic eDp5", "AWS4-HMAC-SHA256 Credential=x", "AWS4-HMAC-SHA256 " + "x" * 5000, "Bearer \x7f\x1b[31m"):
        answer = signed.send("GET", "/experiments", headers={**signed.headers("GET", "/experiments"), "Authorization": value})
        assert_refused(answer, "IncompleteSignatureException")


def test_a_presigned_url(signed):
    request = botocore.awsrequest.AWSRequest(method="GET", url=f"{signed.url}/experiments")
    botocore.auth.SigV4QueryAuth(botocore.credentials.Credentials(*KEY), "fis", REGION).add_auth(request)
    target = request.url.removeprefix(signed.url)
    assert "X-Amz-Signature" in target
    assert_refused(signed.send("GET", target, headers={"Host": f"127.0.0.1:{signed.port}"}), "MissingAuthenticationTokenException",
                   "presigned")


def test_only_fis_is_there(signed):
    for method, target in (("GET", "/v1/status"), ("GET", "/v1/faults"), ("POST", "/v1/faults"), ("DELETE", "/v1/faults"),
                           ("GET", "/v1/actions"), ("GET", "/"), ("GET", "/experimentsx"), ("GET", "/%76%31/status")):
        for answer in (signed.ask(method, target), signed.send(method, target, headers={"Host": "localhost"})):
            assert answer[0] == 404 and list(answer[2]) == ["message"], (target, answer)
    assert signed.get("/v1/status")[0] == 200, "the socket has them"


def test_web_pages_are_not_served(signed):
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1", "127.1.2.3:7340", "[::1]", f"[::1]:{signed.port}"):
        assert admitted(signed.ask(host=host)), host
    for host in ("evil.example", "evil.example:7340", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", "[::1",
                 "localhost:x", "localhost:", "localhost:99999", "0.0.0.0", "x" * 300):
        headers = {**signed.headers("GET", "/experiments"), "Host": host}
        assert_refused(signed.send("GET", "/experiments", headers=headers), "AccessDeniedException", "Host: ")
    for origin in ("http://evil.example", "null", f"http://localhost:{signed.port}"):
        assert_refused(signed.ask(headers={"Origin": origin}), "AccessDeniedException", "Origin: ")


def test_paths_and_queries_that_hide_something(signed):
    assert signed.ask(target="/experiments?a=%00")[::2] == (400, {"message": "the URI holds a NUL (%00)"})
    assert signed.ask(target="/experiments%00x")[0] == 400
    for target in ("/tags/x/../y", "/tags//x", "/experiments/.", "/experiments/..", "/experiments/%4", "/experiments?a=%4g"):
        assert_refused(signed.ask(target=target), "InvalidSignatureException")
    for target in ("//experiments", "/./experiments", "/v1/../experiments", "http://localhost/experiments", "*"):
        assert signed.ask(target=target)[0] in (400, 404), target


def test_bodies(signed):
    body = b'{"x":"' + b"x" * (MIB - 8) + b'"}'
    assert len(body) == MIB and admitted(signed.ask("POST", "/experimentTemplates", body))
    answer = signed.ask("POST", "/experimentTemplates", body + b" ")
    assert answer == (413, "RequestTooLargeException", {"message": "body: larger than 1048576 bytes"})
    assert signed.request("POST", "/experiments", raw=body + b" ")[0] == 413, "on the socket as well"
    status, error = signed.request("POST", "/v1/faults", raw=b" " * (64 * 1024 + 1))
    assert (status, error["message"]) == (413, "body: larger than 65536 bytes")


def rss_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


def unread(port):
    """Bytes that wait in the queues of this port's connections."""
    rows = [line.split() for line in pathlib.Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    mine = [r[4] for r in rows if f"{port:04X}" in (r[1].split(":")[1], r[2].split(":")[1]) and r[3] == "01"]
    return sum(int(n, 16) for queues in mine for n in queues.split(":"))


def test_many_large_bodies_take_bounded_memory(signed):
    """Sixteen at once are held; the next ones are refused, and there is room again when they have gone."""
    def begin():
        s = socket.create_connection(("127.0.0.1", signed.port), timeout=harness.PATIENCE)
        s.sendall(b"POST /experiments HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % MIB + b"x" * (MIB - 1))
        return s

    def end(s):
        with contextlib.closing(s):
            s.sendall(b"x")
            return int(s.recv(4096).split(b" ")[1])

    before = rss_kib(signed.pid)
    sockets = [begin() for _ in range(100)]
    wait_for(lambda: unread(signed.port) == 0, "all that was sent is read")
    assert rss_kib(signed.pid) - before < 64 * 1024
    assert admitted(signed.ask()), "and others are served"
    statuses = [end(s) for s in sockets]
    assert sorted(set(statuses)) == [403, 503] and statuses.count(403) == 16, statuses
    assert admitted(signed.ask("POST", "/experiments", b"x" * MIB)), "there is room again"


def test_slow_and_many_clients(signed):
    """They take an eighth of the connections at most: the socket is open to others."""
    sockets = []
    with contextlib.suppress(OSError):
        for _ in range(400):
            sockets.append(socket.create_connection(("127.0.0.1", signed.port), timeout=1))
    try:
        for _ in range(3):
            assert signed.get("/v1/status")[0] == 200
    finally:
        for s in sockets:
            s.close()
    wait_for(lambda: admitted(signed.ask()), "served again")


# The log, the configuration, the address


def refusals(d):
    return d.log().count("a request over TCP was refused")


def test_refusals_fill_no_log(signed):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        start = datetime.datetime.now()
        answers = list(pool.map(lambda _: signed.ask(key=("AKIANOBODY", "x", None))[1], range(400)))
        seconds = (datetime.datetime.now() - start).total_seconds()
    assert set(answers) == {"UnrecognizedClientException"}
    assert 5 <= refusals(signed) <= 5 * (int(seconds) + 2)
    assert "key AKIANOBODY: UnrecognizedClientException: " in signed.log()

    def told():
        signed.send("GET", "/experiments", headers={"Host": "localhost"})
        return re.findall(r"(\d+) more requests over TCP were refused", signed.log())

    wait_for(told, "how many more is said with the next one")
    assert KEY[1] not in signed.log() and WITH_TOKEN[2] not in signed.log()


def test_what_is_logged_is_one_line(signed):
    assert signed.url
    before = len(signed.log().splitlines())
    headers = {**signed.headers("GET", "/experiments"), "Authorization": "AWS4-HMAC-SHA256 Credential=a\x1b[31m\xff/x"}
    assert_refused(signed.send("GET", "/experiments", headers=headers), "IncompleteSignatureException")
    wait_for(lambda: refusals(signed), "it is logged")
    lines = signed.log().splitlines()[before:]
    assert len(lines) == 1 and "\x1b" not in lines[0]


def test_keys_are_read_anew(signed):
    assert admitted(signed.ask()) and admitted(signed.ask(key=WITH_TOKEN))
    (signed.directory / "faultd.json").write_text(json.dumps(config(keys=[WITH_TOKEN], listen="127.0.0.1:1")))
    url = signed.url
    os.kill(signed.pid, signal.SIGHUP)
    wait_for(lambda: "reloaded" in signed.log(), "reloaded")
    assert_refused(signed.ask(), "UnrecognizedClientException")
    assert admitted(signed.ask(key=WITH_TOKEN)) and signed.url == url
    assert "fis.listen stays as it is" in signed.log()


def test_the_policy_decides_about_keys(tmp_path, alone):
    statement = {"Effect": "Allow", "Principal": [f"key:{KEY[0]}"], "Action": ["fis:*"], "Resource": ["*"]}
    d = Signed(tmp_path / "faultd", config=config(policy={"Statement": [statement]}))
    try:
        assert admitted(d.ask())
        answer = d.ask(key=WITH_TOKEN)
        assert_refused(answer, "AccessDeniedException", WITH_TOKEN[0])
    finally:
        d.close()


def test_without_keys_nobody_gets_in(tmp_path, alone):
    d = Signed(tmp_path / "faultd", config=config(keys=[]))
    try:
        assert_refused(d.ask(), "UnrecognizedClientException")
    finally:
        d.close()


def test_no_tcp_unless_asked_for(faultd):
    mine = {os.readlink(p) for p in pathlib.Path(f"/proc/{faultd.pid}/fd").iterdir()}
    listening = {f"socket:[{line.split()[9]}]" for table in ("tcp", "tcp6")
                 for line in pathlib.Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]}
    assert not mine & listening
    assert "FIS API" not in faultd.log()


@pytest.mark.parametrize("listen", ["0.0.0.0:7340", "10.0.0.1:7340", "[::]:7340", "[fe80::1]:7340", "[::ffff:127.0.0.1]:7340", "::1:7340",
                                    "localhost:7340", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x", "127.0.0.1:-1", ":7340",
                                    "7340", "127.1:7340", "[127.0.0.1]:7340", "[::1%lo]:7340", "/run/x"])
def test_only_loopback_is_listened_on(tmp_path, alone, listen):
    d = Signed(tmp_path / "faultd", config=config(listen=listen), wait_ready=False)
    try:
        assert d.process.wait(harness.PATIENCE) == 1
        assert "fis.listen" in d.log() and "127.0.0.1:7340 or [::1]:7340" in d.log()
        assert not d.socket.exists()
    finally:
        d.close()


def test_ipv6(tmp_path, alone):
    with contextlib.closing(socket.socket(socket.AF_INET6)) as s:
        try:
            s.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
    d = Signed(tmp_path / "faultd", config=config(listen="[::1]:0"))
    try:
        assert d.url.startswith("http://[::1]:")
        with pytest.raises(botocore.exceptions.ClientError) as e:
            d.client((KEY[0], "wrong", None)).list_actions()
        assert e.value.response["Error"]["Code"] == "InvalidSignatureException"
        with contextlib.suppress(botocore.exceptions.ClientError):
            d.client().list_actions()
        assert refusals(d) == 1
    finally:
        d.close()


def test_an_address_that_is_taken(tmp_path, alone):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as s:
        port = s.getsockname()[1]
        d = Signed(tmp_path / "faultd", config=config(listen=f"127.0.0.1:{port}"), wait_ready=False)
        try:
            assert d.process.wait(harness.PATIENCE) == 1
            assert f"fis.listen: cannot listen on 127.0.0.1:{port}: Address already in use" in d.log()
            assert not d.socket.exists()
        finally:
            d.close()


def test_started_again_at_the_same_address(tmp_path, alone):
    """Also when connections of the one before linger, which it closed itself; and nothing inherits the socket."""
    d = Signed(tmp_path / "faultd", config=config())
    port = d.port
    kept = socket.create_connection(("127.0.0.1", port))
    try:
        d.start_fault("cpu-stress", percent=1, cpus="1")
        assert d.stop() == 0
        (d.directory / "faultd.json").write_text(json.dumps(config(listen=f"127.0.0.1:{port}")))
        d.start()
        assert d.port == port and admitted(d.ask())
        d.start_fault("cpu-stress", percent=1, cpus="1")
        d.kill()
        wait_for(lambda: not d.stray_processes(), "guardian and worker are gone")
        d.start()
        assert admitted(d.ask())
    finally:
        kept.close()
        d.close()


def test_a_flood_holds_nobody_up(signed):
    """Whoever has no key may still send: as much as it likes, the faults and their guardian do not notice."""
    body = b"x" * MIB
    headers = signed.headers("POST", "/experiments", body, key=("AKIANOBODY", "x", None))
    fault, guardian, until = signed.start_fault("cpu-stress", percent=1, cpus="1"), signed.guardian_pid(), time.monotonic() + 4

    def flood(_):
        answers = set()
        while time.monotonic() < until:
            with contextlib.suppress(ConnectionError):
                answers.add(signed.send("POST", "/experiments", body, headers)[0])
        return answers

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        floods = pool.map(flood, range(24))
        while time.monotonic() < until:
            assert signed.get("/v1/status")[0] == 200
        assert set().union(*floods) <= {403, 503}
    assert signed.show(fault)["state"] == "active" and signed.guardian_pid() == guardian
    assert "fenced" not in signed.log()
