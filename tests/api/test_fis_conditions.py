# SPDX-License-Identifier: Apache-2.0
"""Experiments and AWS: stopped by CloudWatch alarms, asserting them, their logs delivered, against moto's server on
loopback. Conditions of the host itself are in test_stop_conditions.py."""

import contextlib
import json
import re
import select
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

boto3 = pytest.importorskip("boto3")
pytest.importorskip("moto.server")

from lib import fis as lib  # noqa: E402
from lib import harness  # noqa: E402
from lib.harness import HostState, assert_put_back, state_of, wait_for  # noqa: E402

REGION, ACCOUNT = "us-east-1", "123456789012"  # moto's
ROLE = f"arn:aws:iam::{ACCOUNT}:role/faultd"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIDMOTO", "AWS_SECRET_ACCESS_KEY": "moto/secret", "AWS_SESSION_TOKEN": "moto/token=="}
GROUP, BUCKET = "faultd/experiments", "experiments-of-faultd"


class Moto:
    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        lines = iter(self.process.stderr.readline, "")
        found = next((m for line in lines if (m := re.search(r"http://127\.0\.0\.1:(\d+)", line))), None)
        assert found, "moto's server ended"
        self.url, self.port = found[0], int(found[1])
        self.drain = threading.Thread(target=self.process.stderr.read, daemon=True)
        self.drain.start()

    def client(self, service):
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="y")

    def alarm(self, name, state="OK"):
        """Its ARN."""
        self.client("cloudwatch").put_metric_alarm(
            AlarmName=name, EvaluationPeriods=1, ComparisonOperator="GreaterThanThreshold", MetricName="errors", Namespace="test",
            Period=60, Statistic="Sum", Threshold=1.0)
        self.put(name, state)
        return arn(name)

    def put(self, name, state):
        self.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.drain.join()


def arn(name):
    return f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"


@pytest.fixture(scope="module")
def server():
    m = Moto()
    yield m
    m.close()


@pytest.fixture
def moto(server):
    urllib.request.urlopen(urllib.request.Request(f"{server.url}/moto-api/reset", method="POST"), timeout=harness.PATIENCE).close()
    return server


class Way:
    """To a port, as long as it is open; while it hangs, what is sent is taken and nothing comes back."""

    def __init__(self, port):
        self.port, self.hangs = port, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()
        self.open = True

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                self.threads.append(threading.Thread(target=self.forward, args=(client,), daemon=True))
                self.threads[-1].start()

    def forward(self, client):
        with client, socket.create_connection(("127.0.0.1", self.port)) as there, contextlib.suppress(OSError):
            while self.open:
                for s in select.select([client, there], [], [], 0.05)[0]:
                    data = s.recv(65536)
                    if not data:
                        return
                    if not self.hangs:
                        (there if s is client else client).sendall(data)

    def close(self):
        if self.open:
            self.open = False
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
        for t in self.threads:
            t.join()


@pytest.fixture
def way(moto):
    w = Way(moto.port)
    yield w
    w.close()


class Lab:
    def __init__(self, directory, victim, endpoint, env=None, **fis):
        settings = {"region": REGION, "account": ACCOUNT, "metadata": "off", "alarmPeriod": "1s", "cloudwatchEndpoint": endpoint,
                    "logsEndpoint": endpoint, "s3Endpoint": endpoint, **fis}
        self.victim = victim
        self.before = HostState(pids=[victim.pid])
        self.d = harness.Faultd(directory / "faultd", config={"fis": settings}, env=CREDENTIALS if env is None else env)
        self.fis = lib.Fis(self.d)

    def run(self, *conditions, actions=None, **members):
        pause = {"actionId": "host:process-pause", "parameters": {"duration": "60s", "pid": str(self.victim.pid)}}
        t = self.fis.create(roleArn=ROLE, stopConditions=list(conditions) or [{"source": "none"}],
                            actions=actions or {"pause": pause}, **members)
        return self.fis.start(t)

    def wait_paused(self, x):
        def look():
            over = self.fis("GetExperiment", id=x)["experiment"]["state"]
            assert over["status"] in ("pending", "initiating", "running"), over
            return state_of(self.victim.pid) == "T"

        wait_for(look, "the victim is stopped")

    def wait_over(self, x, status):
        """The experiment, and that all is undone."""
        e = self.fis.wait_state(x, "completed", "stopped", "failed", "cancelled")
        assert e["state"]["status"] == status, (e["state"], e["actions"])
        assert state_of(self.victim.pid) != "T"
        assert_put_back(self.before, lambda: HostState(pids=[self.victim.pid]))
        return e

    def log(self, x):
        stream = self.d.stream("GET", f"/v1/experiments/{x}/log?follow=true")
        records = list(iter(stream.line, None))
        stream.close()
        return records


@pytest.fixture
def made(tmp_path, victim, alone):
    with contextlib.ExitStack() as stack:
        def make(endpoint, **settings):
            lab = Lab(tmp_path, victim, endpoint, **settings)
            stack.callback(lab.d.close)
            return lab

        yield make


def alarm(its_arn):
    return {"source": "aws:cloudwatch:alarm", "value": its_arn}


# aws:cloudwatch:alarm


def test_an_alarm_stops_it(made, moto):
    """It runs while the alarm is well, which it is asked about; put to ALARM, all is undone within its period."""
    lab = made(moto.url)
    ok, other = moto.alarm("errors of the shop (5xx)"), moto.alarm("größe")
    x = lab.run(alarm(ok), alarm(other), {"source": "host:metric", "value": "metric=load1 above=100000"})
    lab.wait_paused(x)
    moto.put("größe", "INSUFFICIENT_DATA")  # which is no reason to stop
    until = time.monotonic() + 2.5  # more than two periods
    wait_for(lambda: time.monotonic() > until or state_of(lab.victim.pid) != "T", "two rounds of asking")
    assert state_of(lab.victim.pid) == "T"
    moto.put("größe", "ALARM")
    begun = time.monotonic()
    wait_for(lambda: state_of(lab.victim.pid) != "T", "undone", pause=0.001)
    print(f"undone {(time.monotonic() - begun) * 1000:.0f} ms after the alarm; asked every 1000 ms")
    e = lab.wait_over(x, "stopped")
    assert e["state"]["reason"] == "Stop condition aws:cloudwatch:alarm: alarm größe is in state ALARM", e["state"]
    assert e["actions"]["pause"]["state"]["status"] == "stopped"


def test_an_alarm_that_rings_already(made, moto):
    lab = made(moto.url)
    e = lab.wait_over(lab.run(alarm(moto.alarm("errors", "ALARM"))), "stopped")
    assert "alarm errors is in state ALARM" in e["state"]["reason"]
    assert e["actions"]["pause"]["state"]["status"] == "cancelled" and "startTime" not in e["actions"]["pause"]
    assert lab.d.get("/v1/faults")[1]["faults"] == []


def test_an_alarm_that_is_not_there(made, moto):
    """Before, and deleted meanwhile: not to know is a reason to stop."""
    lab = made(moto.url)
    moto.alarm("errors")
    e = lab.wait_over(lab.run(alarm(arn("error"))), "stopped")
    assert "there is no such alarm" in e["state"]["reason"] and arn("error") in e["state"]["reason"]
    assert e["actions"]["pause"]["state"]["status"] == "cancelled"
    x = lab.run(alarm(arn("errors")))
    lab.wait_paused(x)
    moto.client("cloudwatch").delete_alarms(AlarmNames=["errors"])
    assert "there is no such alarm" in lab.wait_over(x, "stopped")["state"]["reason"]


def test_cloudwatch_goes_away(made, moto, way):
    """While it runs: it is stopped when nothing is known for seconds, and what runs is undone."""
    lab = made(way.url)
    x = lab.run(alarm(moto.alarm("errors")))
    lab.wait_paused(x)
    way.close()
    begun = time.monotonic()
    e = lab.wait_over(x, "stopped")
    print(f"stopped {time.monotonic() - begun:.1f} s after CloudWatch was gone")
    assert "cannot be told: CloudWatch cannot be asked" in e["state"]["reason"]
    assert e["actions"]["pause"]["state"]["status"] == "stopped"
    e = lab.wait_over(lab.run(alarm(arn("errors"))), "stopped")  # nor does another one begin
    assert e["actions"]["pause"]["state"]["status"] == "cancelled"


def test_cloudwatch_hangs(made, moto, way):
    """Connections are taken and nobody answers."""
    lab = made(way.url)
    x = lab.run(alarm(moto.alarm("errors")))
    lab.wait_paused(x)
    way.hangs = True
    assert "cannot be told: CloudWatch cannot be asked" in lab.wait_over(x, "stopped")["state"]["reason"]


def test_a_short_interruption_is_none(made, moto, way):
    """What passes within the time for asking again stops nothing."""
    lab = made(way.url)
    x = lab.run(alarm(moto.alarm("errors")))
    lab.wait_paused(x)
    way.hangs = True
    until = time.monotonic() + 1.5
    wait_for(lambda: time.monotonic() > until, "a round that is not answered")
    way.hangs = False
    until = time.monotonic() + 8  # longer than it would go on asking
    wait_for(lambda: time.monotonic() > until or state_of(lab.victim.pid) != "T", "it goes on", pause=0.05)
    assert state_of(lab.victim.pid) == "T", lab.fis("GetExperiment", id=x)["experiment"]["state"]
    moto.put("errors", "ALARM")
    assert "is in state ALARM" in lab.wait_over(x, "stopped")["state"]["reason"]


def test_nobody_to_ask_as(made, moto):
    """No credentials: told, and nothing is begun."""
    lab = made(moto.url, env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": ""})
    e = lab.wait_over(lab.run(alarm(moto.alarm("errors"))), "stopped")
    assert "credentials" in e["state"]["reason"] and e["actions"]["pause"]["state"]["status"] == "cancelled"


# aws:cloudwatch:assert-alarm-state


def assertion(arns, states, after=()):
    a = {"actionId": "aws:cloudwatch:assert-alarm-state", "parameters": {"alarmArns": ",".join(arns), "alarmStates": states}}
    return {**a, "startAfter": list(after)} if after else a


def test_assertions(made, moto):
    lab = made(moto.url)
    ok, ringing = moto.alarm("well"), moto.alarm("ringing", "ALARM")
    wait = {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1M"}}
    soon = {"actionId": "host:wait", "parameters": {"duration": "50ms"}}
    e = lab.wait_over(lab.run(actions={"wait": soon, "both": assertion([ok, ringing], "OK, ALARM", ["wait"]),
                                       "one": assertion([ok], "OK", ["both"])}), "completed")
    assert [e["actions"][a]["state"]["status"] for a in ("wait", "both", "one")] == ["completed"] * 3
    assert e["actions"]["wait"]["endTime"] <= e["actions"]["both"]["startTime"]
    e = lab.wait_over(lab.run(actions={"wait": wait, "both": assertion([ok, ringing], "OK"),
                                       "later": assertion([ok], "OK", ["both"])}), "failed")
    assert e["actions"]["both"]["state"]["status"] == "failed"
    assert "ringing" in e["actions"]["both"]["state"]["reason"] and "ALARM" in e["actions"]["both"]["state"]["reason"]
    assert e["actions"]["later"]["state"]["status"] == "cancelled"
    assert e["actions"]["wait"]["state"]["status"] in ("stopped", "cancelled")
    assert e["state"]["error"]["location"] == "actions.both", e["state"]
    e = lab.wait_over(lab.run(actions={"a": assertion([arn("nobody")], "OK,ALARM,INSUFFICIENT_DATA")}), "failed")
    assert "there is no such alarm" in e["actions"]["a"]["state"]["reason"]


# Logs


def delivered(moto, x):
    """What is in CloudWatch Logs and in S3, as records; None while there is nothing."""
    logs, s3 = moto.client("logs"), moto.client("s3")
    try:
        events = logs.get_log_events(logGroupName=GROUP, logStreamName=f"/aws/fis/{x}", startFromHead=True)["events"]
    except logs.exceptions.ResourceNotFoundException:
        events = []
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []) if x in o["Key"]]
    lines = [line for k in sorted(keys) for line in s3.get_object(Bucket=BUCKET, Key=k)["Body"].read().decode().splitlines()]
    return [json.loads(e["message"]) for e in events], [json.loads(line) for line in lines], keys


def test_logs_are_delivered(made, moto):
    """The same records there as in the log of this host, each once, in order."""
    moto.client("logs").create_log_group(logGroupName=GROUP)
    moto.client("s3").create_bucket(Bucket=BUCKET)
    lab = made(moto.url)
    to = {"logSchemaVersion": 2, "cloudWatchLogsConfiguration": {"logGroupArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{GROUP}:*"},
          "s3Configuration": {"bucketName": BUCKET, "prefix": "chaos/größe"}}
    quick = {"actionId": "host:process-pause", "parameters": {"duration": "100ms", "pid": str(lab.victim.pid)}}
    x = lab.run(actions={"pause": quick, "again": {**quick, "startAfter": ["pause"]}}, logConfiguration=to)
    lab.wait_over(x, "completed")
    own = lab.log(x)
    assert [r["log_type"] for r in own] == ["experiment-start", "action-start", "action-end", "action-start", "action-end",
                                           "experiment-end"]
    in_logs, in_s3, keys = wait_for(lambda: all(map(len, d := delivered(moto, x))) and len(d[0]) == len(d[1]) == len(own) and d,
                                    "all records are there", pause=0.1)
    assert in_logs == own and in_s3 == own
    assert all(re.fullmatch(rf"chaos/größe/AWSLogs/{ACCOUNT}/fis/{REGION}/{x}/\d{{4}}/\d\d/\d\d/.*log", k) for k in keys), keys


def test_logs_that_nobody_takes(made, moto):
    """No such group, no such bucket: the experiment runs as ever, its log on this host is whole, and it is said."""
    lab = made(moto.url)
    to = {"logSchemaVersion": 2, "cloudWatchLogsConfiguration": {"logGroupArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:nobody:*"},
          "s3Configuration": {"bucketName": "no-such-bucket"}}
    soon = {"actionId": "host:wait", "parameters": {"duration": "10ms"}}
    x = lab.run(actions={"wait": soon}, logConfiguration=to)
    lab.wait_over(x, "completed")
    assert [r["log_type"] for r in lab.log(x)][-1] == "experiment-end"
    for what in ("CloudWatch Logs group nobody", "S3 bucket no-such-bucket"):
        wait_for(lambda: any(what in line and ("warning" in line.lower() or x in line) for line in lab.d.log().splitlines()), what)
