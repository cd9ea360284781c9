# SPDX-License-Identifier: Apache-2.0
"""Whatever is sent: one error that says what is wrong with which field, nothing changed, all well after it."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess

import pytest

from lib import harness
from lib.harness import HostState, state_of, wait_for

VALIDATION = (400, "ValidationException")
ANY = object()  # some field


def cpu(**parameters):
    return {"action": "cpu-stress", "duration": "30s", "parameters": parameters}


def loss(**parameters):
    return {"action": "network-loss", "duration": "30s", "parameters": {"interface": "lo", **parameters}}


def pause(**parameters):
    return {"action": "process-pause", "duration": "30s", "parameters": parameters}


def kill(**parameters):
    return {"action": "process-kill", "confirm": True, "parameters": parameters}


def request(**fields):
    return {**cpu(percent=1), **fields}


def raw(text):
    return text if isinstance(text, bytes) else text.encode()


@pytest.fixture
def sleeper(tmp_path):
    process = subprocess.Popen([harness.copy_of_sleep(tmp_path, f"fdb{os.getpid()}"), "600"])
    wait_for(lambda: state_of(process.pid) == "S", "the victim asleep")
    yield process
    process.kill()
    process.wait()


def post(d, body):
    """(status, x-amzn-ErrorType, JSON or why it is none)"""
    connection = harness.HTTPConnection(d.socket)
    try:
        with contextlib.suppress(BrokenPipeError):  # answered before the body was read to its end
            connection.request("POST", "/v1/faults", body if isinstance(body, bytes) else json.dumps(body))
        response = connection.getresponse()
        text = response.read()
        try:
            return response.status, response.getheader("x-amzn-ErrorType"), json.loads(text)
        except ValueError as e:
            return response.status, response.getheader("x-amzn-ErrorType"), f"{text!r}: {e}"
    finally:
        connection.close()


def complaints(d, body, field, value=None, expect=VALIDATION):
    """What is wrong with the answer to a bad request, as text; "" if it is as it should be."""
    status, error_type, error = post(d, body)
    if not isinstance(error, dict):
        return f"no JSON: {error}"
    if status in (200, 201):
        d.request("DELETE", "/v1/faults")
        return f"accepted: {error['description']}"
    wrong = []
    if (status, error_type) != expect or error["code"] != error_type:
        wrong.append(f"{status} {error_type} {error['code']}")
    message = error["message"]
    if not message or any(ord(c) < 0x20 or ord(c) == 0x7f for c in message) or len(message) > 511:
        wrong.append("message is not one line")
    if field is ANY:
        field = error.get("field", "")
    if field != error.get("field"):
        wrong.append(f"field {error.get('field')!r}, not {field!r}")
    if field and (field[:80] not in message or not error.get("allowed")):
        wrong.append("field or allowed is missing")
    if value is not None and (value not in error.get("value", "") or value not in message):
        wrong.append(f"value {value!r} is missing")
    if d.journals():
        wrong.append(f"journal {d.journals()}")
    return f"{'; '.join(wrong)}: {error}" if wrong else ""


def check_all(d, cases):
    """cases: (body, field[, value[, expect]]). Reports all that fail, not the first only."""
    before = HostState(directories=[d.runtime])
    failed = []
    for body, *rest in cases:
        what = complaints(d, body, *rest)
        if what:
            shown = body if isinstance(body, bytes) else json.dumps(body).encode()
            failed.append(f"{shown[:160]!r}\n    -> {what}")
    assert not failed, f"{len(failed)} of {len(cases)}:\n" + "\n".join(failed[:12])
    assert d.get("/v1/faults") == (200, {"faults": []})
    assert HostState(directories=[d.runtime]) == before
    assert d.process.poll() is None
    d.stop_fault(d.start_fault("cpu-stress", percent=1, cpus="0-0"))


def test_what_is_not_json(faultd):
    good = json.dumps(cpu(percent=1))
    check_all(faultd, [(raw(body), None) for body in (
        "", " ", "{", "}", good[:-1], good + "}", good + good, good + " x", "[]", "null", "1", '"text"', "true",
        "{'action': 'cpu-stress'}", '{"action": "cpu-stress",}', '{"action" "cpu-stress"}', "{action: 1}",
        '{"action": "cpu-stress", "duration": NaN}', '{"action": "cpu-stress", "duration": Infinity}',
        '{"action": "cpu-stress", "duration": "30s", "parameters": {"percent": NaN}}',
        '{"action": "cpu-stress", "duration": "30s", "parameters": {"percent": 1e400}}',
        '{"action": "cpu-stress", "duration": "30s", "parameters": {"percent": -1e400}}',
        "// comment\n" + good, "\ufeff\ufeff" + good,
        '{"action": "cpu\\u0000-stress", "duration": "30s"}', '{"action\\u0000": "cpu-stress", "duration": "30s"}',
        b'{"action": "cpu-stress\xff", "duration": "30s"}', b'{"action": "\xc0\xaf", "duration": "30s"}',
        b'{"action": "\xed\xa0\x80", "duration": "30s"}', good.encode() + b"\0", b"\0", b"\xff\xfe" + good.encode(),
        good.encode("utf-16"), "[" * 30000, '{"a":' * 5000 + "1" + "}" * 5000, '{"parameters":' * 17 + "1" + "}" * 17,
        '{"action": "cpu-stress", "duration": "30s", "parameters": ' + "[" * 17 + "]" * 17 + "}",
        '{"action": "\\ud800", "duration": "30s"}', '{"action": "\\x41", "duration": "30s"}',
        '{"action": "cpu-stress", "duration": "30s"', "<xml/>", "action=cpu-stress&duration=30s",
    )])


def test_keys_that_are_unknown_or_twice(faultd):
    check_all(faultd, [
        (request(colour="red"), "colour"),
        (request(Action="cpu-stress"), "Action"),
        (request(DRYRUN=True), "DRYRUN"),
        (request(**{"": 1}), None),
        (request(**{"k" * 5000: 1}), "k" * 95),
        (request(**{"a\nb": 1}), "a\\x0ab"),
        (cpu(colour="red"), "parameters.colour"),
        (cpu(Percent=1), "parameters.Percent"),
        (cpu(duration="30s"), "parameters.duration"),
        (cpu(LoadPercent=1), "parameters.LoadPercent"),
        (raw('{"action":"cpu-stress","duration":"30s","duration":"30s"}'), "duration"),
        (raw('{"action":"cpu-stress","action":"network-loss","duration":"30s"}'), "action"),
        (raw('{"action":"cpu-stress","duration":"30s","parameters":{"percent":1},"parameters":{}}'), "parameters"),
        (raw('{"action":"cpu-stress","duration":"30s","parameters":{"percent":1,"percent":1}}'), "parameters.percent"),
        (raw('{"action":"cpu-stress","duration":"30s","parameters":{"p\\u0065rcent":1,"percent":1}}'),
         "parameters.percent"),
    ])


def test_errors_are_utf8_and_one_line_whatever_they_quote(faultd):
    """A text that is cut where it is quoted is not cut within a character."""
    cases = []
    for n in (1, 5, 20, 21, 30, 31, 32, 33, 62, 63, 90, 95, 96, 400):
        for shift in range(3):
            text = "x" * shift + "\u20ac" * n
            cases += [
                (request(**{text: 1}), ANY),
                (request(action=text), "action"),
                (request(duration=text), "duration"),
                (cpu(cpus=text), "parameters.cpus"),
                (cpu(percent=text), "parameters.percent"),
                (loss(interface=text), "parameters.interface"),
                (pause(user=text), "parameters.user"),
                (pause(pattern="(" + text), "parameters.pattern"),
                (kill(name="x", signal=text), "parameters.signal"),
            ]
    check_all(faultd, cases)


def test_errors_show_control_characters_escaped(faultd):
    nasty = "a\nb\x1b[31m\x7f"
    check_all(faultd, [
        (request(action=nasty), "action"),
        (request(duration=nasty), "duration"),
        (cpu(cpus=nasty), "parameters.cpus"),
        (cpu(percent=nasty), "parameters.percent"),
        (loss(interface=nasty), "parameters.interface"),
        (loss(protocol=nasty), "parameters.protocol"),
        (pause(user=nasty), "parameters.user"),
        (pause(pattern="(" + nasty), "parameters.pattern"),
        (pause(name=nasty), "parameters"),
        (kill(name="x", signal=nasty), "parameters.signal"),
    ])
    assert "\x1b" not in faultd.log()


def test_durations(faultd):
    bad = ["30", "30 s", " 30s", "30s ", "5M", "5 m", "5S", "30sec", "1h 30m", "30m1h", "1s1s", "s", "-30s", "+30s", "1e3s",
           "0x10s", "30s;", "PT", "P", "P1Y", "P1W", "PT5", "pt5m", "PT-5M", "NaN", "inf", "1.s", ".5s", "1,5s", "½s",
           "0.0001s", "9" * 30 + "s", "forever", "null"]
    check_all(faultd, [(request(duration=d), "duration", d[:20]) for d in bad] + [
        (request(duration=d), "duration") for d in (
            "", 30, -30, 0, 30.5, 1e300, True, False, None, [], {}, ["30s"], {"s": 30}, "0s", "99ms", "0ms", "13h", "1d",
            "43200001ms", "x" * 60000, "9" * 60000 + "s")] + [
        ({"action": "cpu-stress"}, "duration"),
        ({"action": "process-pause", "parameters": {"name": "x"}}, "duration"),
        ({"action": "network-loss", "parameters": {"interface": "lo"}}, "duration"),
        ({"action": "process-kill", "confirm": True, "parameters": {"name": "x", "interval": "1s"}}, "duration"),
        (request(lease="30"), "lease"), (request(lease=1), "lease"), (request(lease="999ms"), "lease"),
        (request(lease="13h"), "lease"), (request(lease=""), "lease"),
        ({"action": "process-kill", "confirm": True, "lease": "5s", "parameters": {"name": "x"}}, "duration"),
    ])


def test_the_other_fields_of_a_request(faultd):
    cases = [({**request(), field: value}, field) for field in ("dryRun", "attach", "confirm")
             for value in ("", "yes", "1", 1, 0, "TRUE", None, [], {}, [True])]
    cases += [(request(clientToken=v), "clientToken") for v in ("", "x" * 65, "x" * 60000, 5, True, None, [], {})]
    cases += [(request(parameters=v), "parameters") for v in ("", "percent=1", 5, True, None, [], [{"percent": 1}])]
    cases += [({k: v for k, v in request().items() if k != "action"}, "action")]
    cases += [(request(action=v), "action") for v in ("", 5, True, None, [], {}, "x" * 65, "x" * 60000, "cpu_stress",
                                                      "CPU-STRESS", " cpu-stress", "cpu-stress ", "../cpu-stress", "%s%n")]
    check_all(faultd, cases)


def test_cpu_stress_parameters(faultd):
    n = os.cpu_count()
    check_all(faultd, [(cpu(percent=v), "parameters.percent", str(v)) for v in (
        0, 101, -1, "50%", "1e2", "0x10", " 50", "50 ", "fifty", "5O", "1.", ".5", "+5", "--5", 0.5, 100.0001, 1e300, "NaN",
        "inf")] + [
        (cpu(percent=v), "parameters.percent") for v in ("", True, False, None, [], [50], {}, -0.0, "-0", 1e-300, "9" * 400)] + [
        (cpu(cpus=v), "parameters.cpus", v) for v in (
            "99", "a", "0", "-1", "0-", "-0", "1-0", "0,,1", ",0", "0,", "0-99", "99-99", "0 1", "all,0", "ALL", "0x0-0",
            "1.5", f"{n}-{n}", "0-4294967296", "18446744073709551616", "0-18446744073709551616")] + [
        (cpu(cpus=v), "parameters.cpus") for v in ("", True, None, [], [0], {}, "0," * 300 + "0", "0" * 200)] + [
        (cpu(mode=v), "parameters.mode") for v in ("", "ADD", "subtract", 0, 1, True, None, [], ["add"], {})])


def test_network_parameters(faultd):
    check_all(faultd, [(loss(interface=v), "parameters.interface", v) for v in (
        "fdnone9", "lo0", "LO", "lo;reboot", "../lo", "lo/x", "x" * 15, "1")] + [
        (loss(interface=v), "parameters.interface") for v in ("", True, None, [""], {}, "lo,,lo", ",", "lo," * 40 + "lo",
                                                              "x" * 300, [["lo"]], [None])] + [
        (loss(percent=v), "parameters.percent", str(v)) for v in (0, 101, "50%", -1, "0.0001", "", None)[:5]] + [
        (loss(**{k: v}), f"parameters.{k}") for k in ("ports", "sourcePorts") for v in (
            0, 65536, "0", "65536", "9-1", "80-", "-80", "80-90-100", "http", "80;90", "80 90", "", ",", "80,,90", "-1", 80.5,
            "1-65536", "0-10", True, None, {}, [[80]], [True], [0], ["9-1"], [""], ",".join(map(str, range(1, 40))),
            list(range(1, 40)), "99999999999999999999", 1e300)] + [
        (loss(**{k: v}), f"parameters.{k}") for k in ("peers", "excludePeers") for v in (
            "10.0.0.0/33", "10.0.0/8", "10.0.0.256", "::/129", "fe80::1%lo", "10.0.0.0/-1", "10.0.0.0/", "/8", "10.0.0.0/8/8",
            "10.0.0.0/255.0.0.0", "-example.com", "example.-com", "a..b", "a_/b", ":::", "1::2::3", "", ",", 10, True, None, {}, [10], [""],
            "10.0.0.0/+8", "10.0.0.0 /8", "\u0661\u0660.0.0.1", ",".join(f"10.0.{i}.0/24" for i in range(140)))] + [
        (loss(protocol=v), "parameters.protocol") for v in ("", "TCP", "6", 6, "tcp,udp", "ipv6-icmp", None, True, ["tcp"])] + [
        (loss(direction=v), "parameters.direction") for v in ("", "in", "out", "EGRESS", 1, None, ["egress"])] + [
        (loss(flows=v), "parameters.flows") for v in (0, 101, "50%", -1, "0.0001", "", None, True, [50])] + [
        (loss(connections=v, protocol="tcp"), "parameters.connections") for v in ("", "NEW", "syn", 1, None, ["new"])] + [
        (loss(connections=c, protocol=p), "parameters.connections") for c in ("new", "established")
        for p in ("any", "udp", "icmp", "sctp")] + [
        (loss(visible=v), "parameters.visible") for v in ("", "yes", 1, None, [])] + [
        (loss(allowLockout=v), "parameters.allowLockout") for v in ("", "yes", 1, None, [])] + [
        (loss(protocol="icmp", ports="80"), "parameters.ports"),
        (loss(protocol="icmp", sourcePorts="80"), "parameters.sourcePorts"),
        (loss(peers=[f"10.0.{i}.0/24" for i in range(80)], excludePeers=[f"10.1.{i}.0/24" for i in range(80)]),
         "parameters.peers"),
    ])


def test_process_parameters(faultd, sleeper):
    name = f"fdb{os.getpid()}"
    vanished = subprocess.Popen(["true"])
    vanished.wait()
    none = "fdnobodyhasit"
    check_all(faultd, [
        (pause(), "parameters"), (kill(), "parameters"), (pause(count=1), "parameters"), (pause(all=True), "parameters"),
        (pause(pid=[vanished.pid]), "parameters.pid", str(vanished.pid)),
        (kill(pid=vanished.pid), "parameters.pid", str(vanished.pid)),
        (pause(pid=[sleeper.pid, vanished.pid]), "parameters.pid", str(vanished.pid)),
        (pause(pid=4194305), "parameters.pid", "4194305"),
        (pause(pid=2 ** 32 + sleeper.pid), "parameters.pid", str(2 ** 32 + sleeper.pid)),
        (pause(pid=2 ** 32 + 1), "parameters.pid", str(2 ** 32 + 1)),
        (pause(pid=0), "parameters.pid", "0"), (pause(pid=-1), "parameters.pid"), (kill(pid="-1"), "parameters.pid"),
        (kill(pid=-sleeper.pid), "parameters.pid"), (pause(pid="x"), "parameters.pid"), (pause(pid=1.5), "parameters.pid"),
        (pause(pid=""), "parameters.pid"), (pause(pid="1,,2"), "parameters.pid"), (pause(pid=True), "parameters.pid"),
        (pause(pid=None), "parameters.pid"), (pause(pid={}), "parameters.pid"), (pause(pid=1e300), "parameters.pid"),
        (pause(pid=2 ** 53), "parameters.pid"), (pause(pid=list(range(1, 300))), "parameters.pid"),
        (pause(name=none), "parameters"), (kill(name=none), "parameters"), (pause(pattern=none + "x+y"), "parameters"),
        (pause(pattern="x{3}"), "parameters.pattern"), (pause(pattern="(a)\\1"), "parameters.pattern"),
        (pause(name=name, user="nobody"), "parameters"), (pause(name=name[:-1]), "parameters"),
        (pause(name=""), "parameters.name"), (pause(name="x" * 16), "parameters.name"), (pause(name=5), "parameters.name"),
        (pause(name=[name]), "parameters.name"), (pause(name=None), "parameters.name"),
        (pause(pattern=""), "parameters.pattern"), (pause(pattern="["), "parameters.pattern", "["),
        (pause(pattern="(a"), "parameters.pattern"), (pause(pattern="x" * 256), "parameters.pattern"),
        (pause(pattern="a{2,1}"), "parameters.pattern"), (pause(pattern=5), "parameters.pattern"),
        (pause(user="fdnosuchuser"), "parameters.user", "fdnosuchuser"), (pause(user=""), "parameters.user"),
        (pause(user="-1"), "parameters.user"), (pause(user="4294967295"), "parameters.user"),
        (pause(user="99999999999999999999"), "parameters.user"),
        (pause(name=name, count=0), "parameters.count", "0"), (pause(name=name, count=-1), "parameters.count"),
        (pause(name=name, count=1025), "parameters.count"), (pause(name=name, count=1.5), "parameters.count"),
        (pause(name=name, count="two"), "parameters.count"), (pause(name=name, count=True), "parameters.count"),
        (pause(name=name, count=1e300), "parameters.count"),
        (pause(name=name, percent=0), "parameters.percent"), (pause(name=name, percent=101), "parameters.percent"),
        (pause(name=name, percent="50%"), "parameters.percent"), (pause(name=name, percent=0.5), "parameters.percent"),
        (pause(name=name, count=1, percent=50), "parameters.percent"), (pause(name=name, count=1, all=True), "parameters.all"),
        (pause(name=name, percent=50, all=True), "parameters.all"),
        (pause(name=name, order="first"), "parameters.order"), (pause(name=name, order=""), "parameters.order"),
        (pause(name=name, interval="99ms"), "parameters.interval"), (pause(name=name, interval=1), "parameters.interval"),
        (pause(name=name, interval="2h"), "parameters.interval"), (pause(name=name, children="no"), "parameters.children"),
        (pause(name=name, signal="SIGSTOP"), "parameters.signal"),
        *[(kill(name=name, signal=s), "parameters.signal", s) for s in (
            "SIGFOO", "sigterm ", "65", "0", "-9", "9.0", "SIG", "SIGRTMAX+1", "TERM;KILL", "SIGSTOP", "STOP", "19", "SIGTSTP",
            "SIGTTIN", "SIGTTOU", "20")],
        (kill(name=name, signal=""), "parameters.signal"), (kill(name=name, signal=9), "parameters.signal"),
        (kill(name=name, signal="S" * 5000), "parameters.signal"),
    ])
    assert state_of(sleeper.pid) == "S"


def test_processes_that_are_out_of_bounds(faultd, sleeper):
    guardian = faultd.guardian_pid()
    comm = pathlib.Path("/proc/1/comm").read_text().strip()
    worker = faultd.start_fault("cpu-stress", percent=1, cpus="0-0")
    (load,) = harness.processes_named("faultd-load")
    for action in ("process-pause", "process-kill"):
        for parameters in ({"pid": [1]}, {"pid": [faultd.pid]}, {"pid": [guardian]}, {"pid": [load]}, {"pid": [os.getpid()]},
                           {"pid": [2]} if harness.proc_stat(2) else {"pid": [1]}, {"pid": [sleeper.pid, 1]}, {"name": comm},
                           {"name": "faultd"}, {"name": "faultd-guardian"}, {"user": "0"}):
            status, error = faultd.fault(action, "30s", confirm=True, parameters=parameters)
            assert (status, error["code"], faultd.error_type) == (403, *["AccessDeniedException"] * 2), (parameters, error)
            assert "protected" in error["message"] and "\n" not in error["message"]
    assert state_of(faultd.pid) in "SR" and state_of(guardian) in "SR" and state_of(1) in "SR"
    assert harness.alive(load)
    assert faultd.show(worker)["state"] == "active"
    assert len(faultd.get("/v1/faults")[1]["faults"]) == 1


def test_a_victim_beside_our_own_programs(faultd, sleeper, tmp_path):
    """A pattern that names what the victim has in common with faultd's own command line means the victim."""
    assert str(tmp_path) in pathlib.Path(f"/proc/{faultd.pid}/cmdline").read_text()
    status, fault = faultd.fault("process-pause", pattern=f"{tmp_path}.*")
    assert status == 201, fault
    assert [s["text"] for s in fault["steps"]] and len(fault["steps"]) == 1
    wait_for(lambda: state_of(sleeper.pid) == "T", "the victim stands")


def test_the_client_is_not_in_the_way_of_its_own_pattern(faultd, sleeper):
    """The command line of the client contains the pattern, and so it matches."""
    done = faultd.ctl("plan", "process-pause", "--pattern", f"fdb{os.getpid()} 600", "--duration", "30s")
    assert done.returncode == 0, done.stderr
    assert str(sleeper.pid) in done.stdout


def test_consent(faultd, sleeper):
    for extra in ({}, {"confirm": False}, {"confirm": "false"}):
        body = {"action": "process-kill", "parameters": {"pid": [sleeper.pid]}, **extra}
        assert not complaints(faultd, body, "confirm")
    assert sleeper.poll() is None


# HTTP


def talk(d, data, half_close=False, timeout=harness.PATIENCE):
    """Sends bytes, reads until the other side closes or `timeout`; what was read."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    s.connect(str(d.socket))
    got = b""
    with contextlib.closing(s), contextlib.suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
        s.sendall(data)
        if half_close:
            s.shutdown(socket.SHUT_WR)
        while piece := s.recv(65536):
            got += piece
    return got


CLOSE = b"Host: x\r\nConnection: close\r\n\r\n"


def test_a_body_over_the_limit(faultd):
    padding = b" " * (64 * 1024)
    good = json.dumps({**cpu(percent=1), "dryRun": True}).encode()
    assert post(faultd, good + b" " * (64 * 1024 - len(good)))[0] == 200
    for body in (good + padding, padding + good, b"x" * 1000000):
        assert post(faultd, body)[:2] == (413, "RequestTooLargeException")
    for n in (b"104857600", b"18446744073709551615", b"1048577"):
        answer = talk(faultd, b"POST /v1/faults HTTP/1.1\r\nContent-Length: " + n + b"\r\n" + CLOSE)
        assert b" 413 " in answer.split(b"\r\n")[0] and b"RequestTooLargeException" in answer
    for n in (b"99999999999999999999999", b"-1", b"abc", b"1 2", b""):
        answer = talk(faultd, b"POST /v1/faults HTTP/1.1\r\nContent-Length: " + n + b"\r\n" + CLOSE, half_close=True)
        assert answer == b"" or answer.split(b" ", 2)[1] in (b"400", b"413"), answer


def rss(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


@pytest.mark.parametrize("chunked", [False, True])
def test_a_hundred_megabytes(faultd, chunked):
    """Refused, and never kept: with a length at once, in chunks when they are too many."""
    before = rss(faultd.pid)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(harness.PATIENCE * 2)
    s.connect(str(faultd.socket))
    head = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 104857600"
    with contextlib.closing(s):
        s.sendall(b"POST /v1/faults HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
        megabyte = b"x" * (1 << 20)
        piece = b"100000\r\n" + megabyte + b"\r\n" if chunked else megabyte
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(100):
                s.sendall(piece)
            s.sendall(b"0\r\n\r\n" if chunked else b"")
        assert b" 413 " in s.recv(65536).split(b"\r\n")[0]
    assert rss(faultd.pid) - before < 40 * 1024
    assert faultd.get("/v1/faults") == (200, {"faults": []})


def test_raw_garbage(faultd):
    before = HostState(directories=[faultd.runtime])
    for data in (b"\0" * 1000, os.urandom(4000), b"\r\n" * 2000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\0\x01",
                 b"GET /v1/status\r\n\r\n", b"GET  /v1/status  HTTP/1.1\r\n\r\n", b"get /v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
                 b"GET /v1/status HTTP/1.1\r\nHost x\r\n\r\n", b"GET /v1/status HTTP/1.1\r\n: x\r\n\r\n", b" " * 60000,
                 b"POST /v1/faults HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nxx",
                 b"POST /v1/faults HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nxx\r\n0\r\n\r\n",
                 b"POST /v1/faults HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nxx",
                 b"POST /v1/faults HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\nxxxxx",
                 b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                 b"GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100000 + b"\r\n\r\n",
                 b"GET /v1/status HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 50000 + b"\r\n",
                 b"GET /v1/status HTTP/1.1\r\nHost: x\r\n" + b" folded\r\n" * 50 + b"\r\n"):
        answer = talk(faultd, data, half_close=True, timeout=1)
        assert not answer or answer.startswith(b"HTTP/1."), (data[:60], answer[:100])
        assert not answer or answer.split(b" ", 2)[1][:1] in b"245", (data[:60], answer[:100])
    assert faultd.get("/v1/faults") == (200, {"faults": []})
    assert HostState(directories=[faultd.runtime]) == before


@pytest.mark.parametrize("path", ["/v1/faults/%ff", "/v1/faults/%0a%1b", "/v1/%c3", "/v1/actions/%e2%82", "/%0d%0aX-Y:%20z",
                                  "/v1/faults/" + "%e2%82%ac" * 60])
def test_odd_paths_give_clean_errors(faultd, path):
    answer = talk(faultd, f"GET {path} HTTP/1.1\r\n".encode() + CLOSE)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 404 " in head.split(b"\r\n")[0]
    assert b"X-Y" not in head
    error = json.loads(body.decode("utf-8", "strict"))
    assert not any(ord(c) < 0x20 for c in error["message"]), error


def test_pipelined_requests_are_answered_in_order(faultd):
    data = b"".join(b"GET /v1/%s HTTP/1.1\r\nHost: x\r\n\r\n" % p for p in [b"status", b"actions", b"nothing"] * 10)
    answer = talk(faultd, data + b"GET /v1/doctor HTTP/1.1\r\n" + CLOSE)
    assert answer.count(b"HTTP/1.1 200") == 21 and answer.count(b"HTTP/1.1 404") == 10
    assert answer.index(b'"guardian"') < answer.index(b'"actions"') < answer.index(b"no such path")


def test_a_connection_is_used_again(faultd, sleeper):
    connection = harness.HTTPConnection(faultd.socket)
    for i in range(100):
        connection.request("GET", "/v1/status" if i % 2 else "/v1/nothing")
        response = connection.getresponse()
        assert response.status == (200 if i % 2 else 404)
        response.read()
    for body, status in (({}, 400), (pause(pid=[sleeper.pid]), 201), (request(dryRun=True), 200), ("x", 400)):
        connection.request("POST", "/v1/faults", json.dumps(body))
        response = connection.getresponse()
        fault = json.loads(response.read())
        assert response.status == status, fault
    connection.close()
    wait_for(lambda: state_of(sleeper.pid) == "T", "not attached, so the fault stays")
    assert faultd.get("/v1/status")[1]["openFaults"] == 1


def test_a_half_closed_client_still_gets_its_answer(faultd, sleeper):
    """`printf … | nc -N -U`: the request is whole, and the other direction is open."""
    answer = talk(faultd, b"GET /v1/status HTTP/1.1\r\n" + CLOSE, half_close=True)
    assert b" 200 " in answer.split(b"\r\n")[0]
    body = json.dumps(pause(pid=[sleeper.pid])).encode()
    answer = talk(faultd, b"POST /v1/faults HTTP/1.1\r\nContent-Length: %d\r\n" % len(body) + CLOSE + body, half_close=True)
    assert b" 201 " in answer.split(b"\r\n")[0]


def test_http_1_0_and_0_9(faultd):
    answer = talk(faultd, b"GET /v1/status HTTP/1.0\r\n\r\n")
    assert b" 200 " in answer.split(b"\r\n")[0]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["pid"] == faultd.pid
    assert b"pid" not in talk(faultd, b"GET /v1/status\r\n", half_close=True)


def test_expect_100_continue(faultd):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(harness.PATIENCE)
    s.connect(str(faultd.socket))
    body = json.dumps(request(dryRun=True)).encode()
    s.sendall(b"POST /v1/faults HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
    assert s.recv(4096).startswith(b"HTTP/1.1 100")
    s.sendall(body)
    assert s.recv(65536).startswith(b"HTTP/1.1 200")
    s.close()


def test_head_and_options_do_no_harm(faultd):
    for method in (b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT"):
        answer = talk(faultd, method + b" /v1/status HTTP/1.1\r\n" + CLOSE, half_close=True)
        assert not answer or answer.split(b" ", 2)[1] in (b"400", b"405", b"404", b"200"), answer[:100]
    assert faultd.get("/v1/status")[0] == 200
