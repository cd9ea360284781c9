# SPDX-License-Identifier: Apache-2.0
"""A daemon that runs for months keeps nothing: no descriptor, no memory, no child, no BPF object of what
is over. What it holds is counted before and after many faults and requests of every kind."""

import collections
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import pytest

from lib import harness
from lib.harness import wait_for

pytestmark = pytest.mark.alone

FAULTS = 1000
REQUESTS = 10000
KEPT_MAX = 128  # finished faults that can still be shown
RULES_MAX = 64  # of one classifier
GROWTH_MAX_KB = 64  # an allocator may place things differently; a leak of 8 bytes a request is more

CPU = {"percent": 1, "cpus": "0-0"}


def is_sanitized(program):
    return b"__asan_init" in pathlib.Path(program).read_bytes()


# What a process holds


def descriptors(pid):
    """How many of each kind."""
    kinds = collections.Counter()
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            kinds[re.sub(r":\[\d+\]", "", os.readlink(entry))] += 1
        except FileNotFoundError:
            pass  # closed since
    return kinds


def mappings(pid):
    """How many of each file or BPF map. Anonymous ones are the allocator's, and counted as memory."""
    kinds = collections.Counter()
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        name = line.split(None, 5)[5:]
        if name and not name[0].startswith("["):
            kinds[name[0]] += 1
    return kinds


def children(pid):
    """{pid: state}."""
    pids = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(p): harness.state_of(p) for p in pids}


def anonymous_kb(pid):
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss_Anon: +(\d+) kB", rollup, re.MULTILINE)[1])


def holds(d, guardian):
    return {
        "faultd": descriptors(d.pid), "faultd's mappings": mappings(d.pid), "faultd's children": children(d.pid),
        "guardian": descriptors(guardian), "guardian's mappings": mappings(guardian),
        "guardian's children": children(guardian),
        "bpf": harness.bpf_objects(),
        "journals": d.journals(),
    }


def held(d, guardian):
    """All that must be the same again, once it is the same twice: what was closed goes a moment later."""
    seen = [None]

    def steady():
        seen.append(holds(d, guardian))
        return seen[-1] == seen[-2] and seen[-1]

    return wait_for(steady, "nothing opened or closed", pause=0.2)


def assert_holds_again(before, d, guardian):
    last = {}

    def same():
        now = holds(d, guardian)
        last["diff"] = {k: (before[k], now[k]) for k in now if now[k] != before[k]}
        return not last["diff"]

    try:
        wait_for(same, "what was held before, and no more", pause=0.05)
    except AssertionError:
        raise AssertionError(f"(before, after): {last['diff']}") from None


# Faults of every kind


class Mix:
    """Starts and ends faults; each method is one, and returns when it is over."""

    def __init__(self, d, network, victim):
        self.d, self.dev, self.victim = d, network.dev, victim.pid

    def start_and_stop(self, action, **parameters):
        self.d.stop_fault(self.d.start_fault(action, **parameters))

    def pause(self):
        self.start_and_stop("process-pause", pid=[self.victim])

    def loss(self):
        self.start_and_stop("network-loss", interface=self.dev, percent=10, direction="both",
                            excludePeers="10.0.0.0/8,fd00::/8")

    def cpu(self):
        self.start_and_stop("cpu-stress", **CPU)

    def dry_run(self):
        for action, parameters in (("process-pause", {"pid": [self.victim]}), ("cpu-stress", CPU)):
            status, plan = self.d.fault(action, dryRun=True, parameters=parameters)
            assert status == 200 and plan["state"] == "planned", plan

    def refused(self):
        refusals = ((400, "network-loss", {"interface": "no-such-dev", "percent": 10}), (400, "no-such-action", {}),
                    (400, "cpu-stress", {"percent": 101}), (400, "process-pause", {"pid": [self.victim], "x": 1}))
        for status, action, parameters in refusals:
            assert self.d.fault(action, parameters=parameters)[0] == status

    def cut(self):
        """Attached, and the client goes without a word."""
        stream = self.d.attach("process-pause", pid=[self.victim])
        assert stream.line()["event"] == "start"
        stream.close()
        self.until_none_is_open()

    def cut_early(self):
        """The client goes before its fault is applied, or while it is."""
        connection = harness.HTTPConnection(self.d.socket)
        connection.request("POST", "/v1/faults", body=json.dumps(
            {"action": "process-pause", "duration": "30s", "attach": True, "parameters": {"pid": [self.victim]}}))
        connection.close()
        self.until_none_is_open()

    def until_none_is_open(self):
        wait_for(lambda: self.d.get("/v1/status")[1]["openFaults"] == 0, "no fault open")

    def failed(self, n):
        """n that fail when half of them is applied: there is no room for another rule."""
        full = [self.d.start_fault("network-loss", interface=self.dev, percent=1, direction="egress")
                for _ in range(RULES_MAX)]
        for _ in range(n):
            status, error = self.d.fault("network-loss", interface=self.dev, percent=1, direction="both")
            assert status == 402, error
        for fault in full:
            self.d.stop_fault(fault)

    def one_of_each(self):
        for kind in (self.pause, self.loss, self.cpu, self.dry_run, self.refused, self.cut, self.cut_early):
            kind()
        self.failed(1)


@pytest.fixture
def daemon(tmp_path, alone):
    d = harness.Faultd(tmp_path / "faultd", "--log-level", "notice", config={"maxFaults": RULES_MAX + 1})
    yield d
    d.close()


@pytest.fixture
def mix(daemon, network, victim):
    return Mix(daemon, network, victim)


def use_clsact(d):
    """The policy is read again on SIGHUP."""
    (d.directory / "faultd.json").write_text(json.dumps({"maxFaults": RULES_MAX + 1, "classifierHook": "clsact"}))
    os.kill(d.pid, signal.SIGHUP)

    def reloaded():
        status, plan = d.fault("network-loss", dryRun=True, parameters={"interface": "lo", "percent": 1, "direction": "egress"})
        assert status == 200, plan
        return plan["steps"][0]["kind"] == "qdisc"

    wait_for(reloaded, "the new policy")


def test_a_thousand_faults_leave_nothing(daemon, mix):
    guardian = daemon.guardian_pid()
    nothing = harness.bpf_objects()
    mix.one_of_each()
    before = held(daemon, guardian)
    assert before["bpf"] == nothing
    assert children(daemon.pid).keys() == {guardian}

    done = collections.Counter()

    def some(kind, n, each=1):
        for _ in range(n):
            kind()
        done["faults"] += n * each

    for half in ("TCX", "clsact"):
        some(mix.pause, 130)
        some(mix.loss, 60 if half == "TCX" else 120)
        some(mix.cpu, 15)
        some(mix.dry_run, 65, 2)
        some(mix.refused, 15, 4)
        some(mix.cut, 20)
        some(mix.cut_early, 20)
        mix.failed(15)
        done["faults"] += RULES_MAX + 15
        if half == "TCX":
            assert_holds_again(before, daemon, guardian)
            use_clsact(daemon)
    assert done["faults"] >= FAULTS
    assert_holds_again(before, daemon, guardian)
    assert daemon.guardian_pid() == guardian, "the guardian was started again"


def test_the_history_is_bounded(daemon, mix):
    first = daemon.stop_fault(daemon.start_fault("process-pause", pid=[mix.victim]))
    for _ in range(KEPT_MAX + 20):
        mix.pause()
    faults = daemon.get("/v1/faults")[1]["faults"]
    assert KEPT_MAX <= len(faults) <= KEPT_MAX + 1
    assert first["id"] not in [f["id"] for f in faults]
    assert daemon.get(f"/v1/faults/{first['id']}")[0] == 404


# Requests


def requests(victim, known):
    """What clients ask, without end; {method, path, body, expected status}."""
    def post(expected, **body):
        return "POST", "/v1/faults", json.dumps(body), expected

    pause = {"action": "process-pause", "duration": "30s", "parameters": {"pid": [victim]}}
    loss = {"action": "network-loss", "duration": "30s", "parameters": {"interface": "lo", "percent": 1, "peers": "::1"}}
    often = [("GET", "/v1/status", None, 200), ("GET", f"/v1/faults/{known}", None, 200), post(200, dryRun=True, **pause),
             ("GET", "/v1/actions/network-loss", None, 200), post(200, dryRun=True, **loss), ("GET", "/v1/nothing", None, 404),
             post(400, **(pause | {"duration": "30"})), ("POST", "/v1/faults", '{"action":', 400),
             ("GET", "/v1/faults/f-000000000000", None, 404), ("DELETE", f"/v1/faults/{known}", None, 200),
             ("PUT", "/v1/faults", "{}", 405), ("POST", f"/v1/faults/{known}/renew", "", None)]
    seldom = [("GET", "/v1/faults", None, 200), ("GET", "/v1/actions", None, 200), ("GET", "/v1/doctor", None, 200),
              ("POST", "/v1/faults", "x" * 65537, 413)]
    for i in itertools.count():
        yield seldom[i // 50 % len(seldom)] if i % 50 == 0 else often[i % len(often)]


def ask_many(d, source, n):
    """On connections that are kept for a while."""
    connection = harness.HTTPConnection(d.socket)
    for method, path, body, expected in itertools.islice(source, n):
        try:
            connection.request(method, path, body=body)
        except (BrokenPipeError, ConnectionResetError):
            assert expected == 413  # refused by its announced length; the answer is there all the same
        response = connection.getresponse()
        text = response.read()
        assert expected in (None, response.status), (method, path, response.status, text)
        json.loads(text)
    connection.close()


def hang_up(d, n):
    """Connections that never become a request."""
    for i in range(n):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(d.socket))
            s.send(b"POST /v1/faults HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{}"[:(i * 7) % 70])


@pytest.fixture
def asked(daemon, mix):
    """asked(n) asks n times, on many connections, with a full history."""
    for _ in range(KEPT_MAX + 1):
        mix.pause()
    source = requests(mix.victim, daemon.get("/v1/faults")[1]["faults"][0]["id"])

    def ask(n):
        for _ in range(n // 200):
            ask_many(daemon, source, 200)
            hang_up(daemon, 10)

    return ask


def test_ten_thousand_requests_leave_nothing(daemon, asked):
    guardian = daemon.guardian_pid()
    asked(400)
    before = held(daemon, guardian)
    asked(REQUESTS)
    assert_holds_again(before, daemon, guardian)


@pytest.fixture
def grown(daemon):
    """grown() is by how many kB faultd and its guardian grew since it was last called."""
    if is_sanitized(harness.FAULTD):
        pytest.skip("the sanitizer's allocator keeps what is freed: its memory says nothing")
    pids, last = (daemon.pid, daemon.guardian_pid()), [0, 0]

    def more():
        now = [anonymous_kb(pid) for pid in pids]
        growth = [b - a for a, b in zip(last, now)]
        last[:] = now
        return growth

    return more


def test_ten_thousand_requests_do_not_make_it_grow(grown, asked):
    asked(REQUESTS // 5)
    grown()
    asked(REQUESTS)
    growth = grown()
    assert max(growth) <= GROWTH_MAX_KB, f"faultd and guardian, kB: {growth}"


def test_faults_do_not_make_it_grow(mix, grown):
    def round_of_faults():
        for _ in range(KEPT_MAX):
            mix.pause()
        mix.one_of_each()

    for _ in range(5):  # until the allocator has found its places
        round_of_faults()
    grown()
    for _ in range(3):
        round_of_faults()
    growth = grown()
    assert max(growth) <= GROWTH_MAX_KB, f"faultd and guardian, kB: {growth}"


def test_a_sanitizer_finds_nothing_at_the_end(daemon, mix):
    """LeakSanitizer speaks when the program ends; without it this is a clean end after a bit of everything."""
    mix.one_of_each()
    source = requests(mix.victim, daemon.get("/v1/faults")[1]["faults"][0]["id"])
    ask_many(daemon, source, 200)
    hang_up(daemon, 20)
    assert daemon.stop() == 0, daemon.log()
    assert "Sanitizer" not in daemon.log() and "runtime error" not in daemon.log(), daemon.log()


# The client


@pytest.fixture
def checked_ctl(daemon):
    """faultctl, run by valgrind: checked_ctl(words) starts it."""
    if is_sanitized(harness.FAULTCTL):
        pytest.skip("valgrind and the address sanitizer do not mix")
    if not shutil.which("valgrind"):
        pytest.skip("needs valgrind")

    def start(*words):
        return subprocess.Popen(
            ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--track-fds=no",
             "--errors-for-leak-kinds=definite,indirect", "--show-leak-kinds=definite,indirect",
             str(harness.FAULTCTL), "--socket", str(daemon.socket), *map(str, words)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


def finish(process, expected=0):
    out, errors = process.communicate(timeout=harness.PATIENCE * 3)
    assert "==" not in errors, errors
    assert process.returncode == expected, (out, errors)
    return out


def test_the_client_leaks_nothing(daemon, mix, checked_ctl):
    target = ["--pid", mix.victim]
    finish(checked_ctl("run", "process-pause", *target, "--duration", "30s", "--detach"))
    fault = daemon.get("/v1/faults")[1]["faults"][0]["id"]
    assert fault in finish(checked_ctl("list"))
    for words in (["show", fault], ["actions"], ["actions", "network-loss"], ["doctor"],
                  ["plan", "process-pause", *target, "--duration", "1s"], ["run", "network-loss", "--help"], ["stop", fault]):
        process = checked_ctl(*words)
        process.wait(harness.PATIENCE * 3)
        finish(process, process.returncode if words[0] == "doctor" else 0)


def test_an_attached_client_leaks_nothing(daemon, mix, checked_ctl):
    process = checked_ctl("run", "process-pause", "--pid", mix.victim, "--duration", "2s")
    finish(process)
    process = checked_ctl("run", "process-pause", "--pid", mix.victim, "--duration", "30s")
    wait_for(lambda: daemon.get("/v1/status")[1]["openFaults"] == 1, "the fault")
    process.send_signal(signal.SIGINT)
    process.wait(harness.PATIENCE)
    finish(process, process.returncode)
    assert process.returncode != 99
    mix.until_none_is_open()


def test_a_refused_client_leaks_nothing(checked_ctl):
    for words in (["run", "cpu-stress", "--percent", "500", "--duration", "1s"], ["show", "f-000000000000"], ["run", "nothing"]):
        process = checked_ctl(*words)
        process.wait(harness.PATIENCE)
        assert process.returncode not in (0, 99)
        finish(process, process.returncode)
