# SPDX-License-Identifier: Apache-2.0
"""Experiments that are ended by what is watched on the host: a process that is paused runs again at once."""

import http.server
import itertools
import os
import pathlib
import signal
import subprocess
import threading
import time

import pytest
from lib.cgroups import hierarchies
from lib.harness import PATIENCE, Faultd, state_of, wait_for

ROLE = "arn:aws:iam::000000000000:role/faultd"
OVER = ("completed", "stopped", "failed", "cancelled")
_tokens = itertools.count()


class Lab:
    def __init__(self, directory, victim):
        self.probes = directory / "probes"
        self.probes.mkdir(mode=0o755)
        self.victim = victim
        self.d = Faultd(directory / "faultd", config={"fis": {"probeDir": str(self.probes)}})

    def body(self, *values):
        pause = {"actionId": "host:process-pause", "parameters": {"duration": "60s", "pid": str(self.victim.pid)}}
        conditions = [dict(zip(("source", "value"), v.split(" ", 1))) for v in values]
        return {"clientToken": f"conditions-{os.getpid()}-{next(_tokens)}", "description": "a test", "roleArn": ROLE,
                "actions": {"Pause": pause}, "stopConditions": conditions}

    def call(self, method, path, body=None):
        status, answer = self.d.request(method, path, body)
        assert status == 200, (status, answer)
        return answer

    def run(self, *conditions):
        template = self.call("POST", "/experimentTemplates", self.body(*conditions))["experimentTemplate"]["id"]
        body = {"clientToken": f"run-{os.getpid()}-{next(_tokens)}", "experimentTemplateId": template}
        return self.call("POST", "/experiments", body)["experiment"]["id"]

    def run_until_paused(self, *conditions):
        x = self.run(*conditions)
        wait_for(lambda: self.is_paused() or self.show(x)["state"]["status"] in OVER, "the victim is paused")
        assert self.is_paused(), self.show(x)
        return x

    def show(self, x):
        return self.call("GET", f"/experiments/{x}")["experiment"]

    def is_paused(self):
        return state_of(self.victim.pid) == "T"

    def wait_stopped(self, x):
        """Its reason, and that nothing is left of it."""
        wait_for(lambda: self.show(x)["state"]["status"] in OVER, f"{x} is over")
        e = self.show(x)
        assert e["state"]["status"] == "stopped", e
        assert not self.is_paused()
        return e["state"]["reason"]

    def program(self, name, text):
        path = self.probes / name
        path.write_text(text)
        path.chmod(0o755)


@pytest.fixture
def lab(tmp_path, alone, victim):
    lab = Lab(tmp_path, victim)
    yield lab
    lab.d.close()


@pytest.fixture
def web():
    """A server whose answer is `status` and `text`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.server.text.encode()
            self.send_response(self.server.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.status, server.text = 200, ""
    server.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_command(lab):
    flag = lab.probes / "flag"
    lab.program("check", f"#!/bin/sh\ntest ! -e {flag} || {{ echo the flag is up; exit 1; }}\n")
    x = lab.run_until_paused("host:command name=check period=100ms")
    flag.touch()
    assert lab.wait_stopped(x) == "Stop condition host:command: check: the flag is up"


def test_http(lab, web):
    x = lab.run_until_paused(f"host:http url={web.url} period=100ms failures=2")
    web.status = 503
    assert lab.wait_stopped(x).endswith("/: status 503; allowed: 200-399 (2 times in a row)")


def test_sample_among_others(lab, web):
    web.text = 'errors{job="a b"} 1\nerrors{job="c"} 9\n'
    x = lab.run_until_paused("host:metric metric=load1 above=100000", "host:metric metric=memoryAvailable below=0%",
                             f'host:metric url={web.url} sample=errors{{job="a b"}} above=5 period=100ms')
    web.text = 'errors{job="a b"} 6\nerrors{job="c"} 9\n'
    assert lab.wait_stopped(x) == 'Stop condition host:metric: errors{job="a b"}: 6; allowed: at most 5'


def test_psi(lab):
    """From the first stall to the victim's release; the unit test measures the condition alone."""
    if "" not in hierarchies():
        pytest.skip("no cgroup v2")
    path = f"/faultd-test-conditions-{os.getpid()}"
    cgroup = pathlib.Path(hierarchies()[""] + path)
    cgroup.mkdir()
    hogs = []
    try:
        if not (cgroup / "cpu.pressure").exists():
            pytest.skip("no pressure stall information of cgroups")
        x = lab.run_until_paused(f"host:psi resource=cpu stall=100ms window=1s cgroup={path}")
        cpu = min(os.sched_getaffinity(0))
        hogs = [subprocess.Popen(["timeout", "0.9", "sh", "-c", "read x && while :; do :; done"], stdin=subprocess.PIPE)
                for _ in range(2)]
        for p in hogs:
            for pid in [p.pid, *children_of(p.pid)]:
                (cgroup / "cgroup.procs").write_text(str(pid))
                os.sched_setaffinity(pid, {cpu})
        begun = time.monotonic()
        for p in hogs:
            p.stdin.write(b"go\n")
            p.stdin.close()
        wait_for(lambda: not lab.is_paused(), "the victim runs again", pause=0.001)
        print(f"100 ms of stalling ended it after {(time.monotonic() - begun) * 1000:.0f} ms")
        assert lab.wait_stopped(x).startswith(f"Stop condition host:psi: cpu of {path}: some tasks stalled ")
    finally:
        for p in hogs:
            p.wait()
        wait_for(lambda: not (cgroup / "cgroup.procs").read_text(), "the cgroup is empty")
        cgroup.rmdir()


def children_of(pid):
    """What `timeout` has started, when it has."""
    path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return map(int, wait_for(lambda: path.read_text().split(), f"the child of {pid}"))


def test_one_that_is_not_well_before(lab):
    lab.program("check", "#!/bin/sh\necho not today\nexit 1\n")
    x = lab.run("host:metric metric=load1 above=100000", "host:command name=check")
    assert lab.wait_stopped(x) == "Stop condition host:command: check: not today"
    assert lab.show(x)["actions"]["Pause"]["state"]["status"] == "cancelled"


def test_unreadable(lab):
    x = lab.run("host:command name=nobody")
    assert lab.wait_stopped(x).startswith("Stop condition host:command: cannot be told: ")
    x = lab.run_until_paused("host:command name=nobody unreadable=ignore")
    assert lab.is_paused()
    lab.call("DELETE", f"/experiments/{x}")
    lab.wait_stopped(x)
    assert "host:command: stop condition cannot be told: " in lab.d.log()


def test_wrong_values(lab):
    status, answer = lab.d.request("POST", "/experimentTemplates", lab.body(
        "none", "host:psi resource=disk stall=5 colour=red", "host:metric metric=load1", "host:http url=ftp://a/",
        "host:command name=../../bin/sh"))  # fmt: skip
    assert status == 400
    problems = [(p["path"], p["message"].split(";")[0]) for p in answer["problems"]]
    for wanted in [
        ("stopConditions[1].value", "colour: unknown name"),
        ("stopConditions[1].value", "resource: disk is not one of them"),
        ("stopConditions[1].value", "stall: 5 has no unit"),
        ("stopConditions[2].value", "above: required and not given"),
        ("stopConditions[3].value", "url: ftp://a/ is no such URL"),
        ("stopConditions[4].value", "name: ../../bin/sh is not that"),
    ]:
        assert wanted in problems, problems


def test_the_end_while_a_program_is_looked_at(tmp_path, alone, dead):
    """The disk of the programs does not answer: faultd says so, and does not wait for it when it ends."""
    d = Faultd(tmp_path / "faultd", config={"fis": {"probeDir": str(dead)}})
    try:
        body = {"clientToken": "dead", "description": "a test", "roleArn": ROLE,
                "actions": {"Wait": {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1M"}}},
                "stopConditions": [{"source": "host:command", "value": "name=check timeout=100ms"}]}
        status, answer = d.request("POST", "/experimentTemplates", body)
        assert status == 200, answer
        status, answer = d.request("POST", "/experiments", {
            "clientToken": "dead", "experimentTemplateId": answer["experimentTemplate"]["id"]})
        x = answer["experiment"]["id"]
        show = lambda: d.request("GET", f"/experiments/{x}")[1]["experiment"]["state"]  # noqa: E731
        wait_for(lambda: show()["status"] in OVER, "it is over")
        assert "does not answer" in show()["reason"], show()
        d.process.send_signal(signal.SIGTERM)
        assert d.process.wait(PATIENCE) == 0
        d.start()
    finally:
        d.close()
