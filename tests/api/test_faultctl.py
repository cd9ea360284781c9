# SPDX-License-Identifier: Apache-2.0
"""faultctl against a small daemon made here, which says exactly what each test wants it to say.

Nothing sleeps: a test waits for a request, a line of output or the end of the process."""
import fcntl
import http.server
import json
import os
import pty
import queue
import re
import select
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import tempfile
import termios
import threading
import time

import pytest

BUILD = os.environ.get("FAULTD_BUILD_DIR")
FAULTCTL = os.path.join(BUILD or "", "agent/ctl/faultctl")
TIMEOUT = 30
ABORT = object()
ID = "f-0h3k7m2q9x4a"

pytestmark = pytest.mark.skipif(not BUILD or not os.path.exists(FAULTCTL),
                                reason="FAULTD_BUILD_DIR has no faultctl")

LOSS = {
    "name": "network-loss", "summary": "Drop a share of the packets", "hold": "kernel",
    "irreversible": False, "durationRequired": True,
    "parameters": [
        {"name": "percent", "type": "integer", "required": True, "minimum": 1, "maximum": 100,
         "unit": "%", "values": [], "description": "share of the packets"},
        {"name": "sourcePorts", "type": "ports", "required": False, "default": None,
         "unit": "", "values": [], "description": "only these ports"},
        {"name": "protocol", "type": "enum", "required": False, "default": "all",
         "unit": "", "values": ["tcp", "udp", "all"], "description": "only this protocol"},
        {"name": "allowLockout", "type": "boolean", "required": False, "default": False,
         "unit": "", "values": [], "description": "also what keeps the host reachable"},
    ],
    "aliases": [{"name": "AWSFIS-Run-Network-Packet-Loss",
                 "parameters": {"LossPercent": "percent", "DurationSeconds": "duration"}}],
    "schema": {"type": "object"},
}
KILL = {
    "name": "process-kill", "summary": "Kill processes", "hold": "none", "irreversible": True,
    "durationRequired": False,
    "parameters": [{"name": "name", "type": "string", "required": True, "unit": "", "values": [],
                    "description": "of this name"}],
    "aliases": [],
}


def fault(**more):
    return {
        "id": ID, "action": "network-loss", "state": "active", "reason": "",
        "description": "drop 20 % of tcp packets leaving eth0",
        "parameters": {"interface": "eth0", "percent": 20}, "hold": "kernel",
        "irreversible": False, "attached": True, "clientToken": "",
        "caller": {"pid": 4711, "uid": 0}, "createdAt": "2026-01-31T12:00:00Z",
        "durationMs": 30000, "remainingMs": 29990, "appliedMs": 2.1,
        "steps": [{"index": 0, "kind": "bpf_link", "hold": "kernel", "state": "applied",
                   "text": "attach the classifier to eth0 egress", "undo": "detach it"}],
        "figures": [], "results": [], "notes": [], **more,
    }


def done(**more):
    return fault(**{"state": "done", "reason": "deadline", "remainingMs": 0, "undoneMs": 0.9,
                    **more})


def start(**more):
    return {"event": "start", "fault": fault(**more)}


def state(name, reason=""):
    return {"event": "state", "time": "2026-01-31T12:00:01Z", "id": ID, "action": "network-loss",
            "state": name, "reason": reason, "remainingMs": 12000}


def figures(value, left=12000):
    return {"event": "figures", "id": ID, "remainingMs": left,
            "figures": [{"name": "dropped", "value": value, "unit": "packets", "text": "dropped"}]}


def end(**more):
    return {"event": "end", "fault": done(**more)}


def refusal(message, code="ValidationException"):
    return {"code": code, "message": message, "field": "", "value": "", "allowed": ""}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def serve(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        daemon = self.server.daemon
        daemon.requests.put((self.command, self.path, json.loads(body) if body else None))
        route = daemon.routes.get((self.command, self.path),
                                  (404, refusal("no such path", "ResourceNotFoundException")))
        if callable(route):
            route = route(self)
        if route is not None:
            self.answer(*route)
        self.close_connection = True

    do_GET = do_POST = do_DELETE = serve

    def answer(self, status, content):
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # a client that goes away is what some tests are about


class Daemon:
    def __init__(self, path):
        self.path = str(path)
        self.requests = queue.Queue()
        self.lines = queue.Queue()
        self.client_gone = threading.Event()
        self.routes = {
            ("GET", "/v1/actions"): (200, {"actions": [LOSS, KILL]}),
            ("GET", "/v1/actions/network-loss"): (200, LOSS),
            ("GET", "/v1/actions/AWSFIS-Run-Network-Packet-Loss"): (200, LOSS),
            ("GET", "/v1/actions/process-kill"): (200, KILL),
        }
        self.server = Server(self.path, Handler)
        self.server.daemon = self
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.lines.put(ABORT)
        self.server.shutdown()
        self.server.server_close()

    def stream(self, handler):
        """Sends what the test puts in `lines`: objects, raw bytes, None (the end) or ABORT."""
        def watch():
            try:
                handler.connection.recv(1)
            except OSError:
                pass
            self.client_gone.set()
            self.lines.put(ABORT)
        handler.send_response(200)
        handler.send_header("Content-Type", "application/x-ndjson")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        threading.Thread(target=watch, daemon=True).start()
        while (item := self.lines.get()) is not None and item is not ABORT:
            raw = item if isinstance(item, bytes) else json.dumps(item).encode() + b"\n"
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))
        if item is None:
            handler.wfile.write(b"0\r\n\r\n")
        else:
            handler.connection.shutdown(socket.SHUT_RDWR)

    def says(self, *lines):
        self.routes[("POST", "/v1/faults")] = self.stream
        for line in lines:
            self.lines.put(line)

    def expect(self, method, path):
        """The body of the next such request; others before it are skipped."""
        while True:
            seen = self.requests.get(timeout=TIMEOUT)
            if seen[:2] == (method, path):
                return seen[2]

    def seen(self):
        """Every request so far, as (method, path)."""
        all_of_them = []
        while not self.requests.empty():
            all_of_them.append(self.requests.get()[:2])
        return all_of_them


@pytest.fixture
def daemon(tmp_path):
    d = Daemon(tmp_path / "s")
    yield d
    d.close()


def environment(path, **more):
    env = {k: v for k, v in os.environ.items() if k not in ("SSM_COMMAND_ID", "NO_COLOR")}
    env.update({"FAULTD_SOCKET": str(path), "TERM": "xterm", "LC_ALL": "C.UTF-8",
                "http_proxy": "http://127.0.0.1:1"}, **more)
    return env


def run(where, *args, prefix=(), **env):
    path = where.path if isinstance(where, Daemon) else where
    p = subprocess.run([*prefix, FAULTCTL, *args], env=environment(path, **env), timeout=4 * TIMEOUT,
                       stdin=subprocess.DEVNULL, capture_output=True)
    p.out, p.err = p.stdout.decode(), p.stderr.decode()
    return p


def spawn(daemon, *args, **env):
    return subprocess.Popen([FAULTCTL, *args], env=environment(daemon.path, **env),
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


class Terminal:
    """faultctl on a terminal of its own, so that Ctrl-C is a key and not a signal."""

    def __init__(self, daemon, *args, columns=100, rows=25, **env):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [FAULTCTL, *args], env=environment(daemon.path, **env), stdin=slave, stdout=slave,
            stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.screen = ""

    def until(self, pattern):
        last = time.monotonic() + TIMEOUT
        while not re.search(pattern, self.screen):
            ready, _, _ = select.select([self.master], [], [], last - time.monotonic())
            assert ready, f"no {pattern!r} in {self.screen!r}"
            self.read()
        return self

    def read(self):
        try:
            more = os.read(self.master, 65536).decode(errors="replace")
        except OSError:
            more = ""
        assert more, f"the program ended: {self.screen!r}"
        self.screen += more

    def key(self, text):
        os.write(self.master, text.encode())

    def end(self):
        try:
            while True:
                self.read()
        except AssertionError:
            pass
        os.close(self.master)
        return self.process.wait(TIMEOUT)


LOSS_ARGS = ("run", "network-loss", "--percent", "20", "--duration", "30s")


# --- what stands alone -------------------------------------------------------------------------

def test_help_is_one_screen_and_names_every_exit_code(tmp_path):
    p = run(tmp_path / "none", "--help")
    assert p.returncode == 0 and p.err == ""
    assert len(p.out.splitlines()) <= 25 and max(map(len, p.out.splitlines())) <= 80
    for code in range(9):
        assert re.search(rf"\b{code} \w", p.out)


@pytest.mark.parametrize("command", ["run", "plan", "list", "show", "stop", "watch", "actions",
                                     "recover", "doctor", "help"])
def test_help_of_every_command_needs_no_daemon(tmp_path, command):
    p = run(tmp_path / "none", "help", command)
    assert p.returncode == 0 and p.out.startswith(f"usage: faultctl {command}")
    if command != "help":
        assert run(tmp_path / "none", command, "--help").out == p.out


def test_version(tmp_path):
    assert re.fullmatch(r"faultctl \S+\n", run(tmp_path / "none", "--version").out)


@pytest.mark.parametrize("args, message", [
    ([], "which command? see 'faultctl --help'"),
    (["lst"], 'unknown command "lst"; did you mean "list"?'),
    (["qqqqqq"], "unknown command \"qqqqqq\"; see 'faultctl --help'"),
    (["--socket"], "--socket needs a value"),
    (["list", "x"], "list: unexpected \"x\"; see 'faultctl help list'"),
    (["show"], "which fault? see 'faultctl list'"),
    (["stop"], "which fault? 'faultctl stop ID...' or 'faultctl stop --all'"),
    (["stop", ""], "which fault? 'faultctl stop ID...' or 'faultctl stop --all'"),
    (["stop", "--al"], "stop: unexpected \"--al\"; see 'faultctl help stop'"),
    (["run"], "which action? see 'faultctl actions'"),
    (["run", "--percent", "1"], "--percent: the action comes before its parameters"),
    (["run", "network-loss", "--percnt", "1"], "unknown option --percnt; did you mean --percent?"),
    (["run", "network-loss", "--durat=1s"], "unknown option --durat; did you mean --duration?"),
    (["run", "network-loss", "--sourcePort", "1"],
     "unknown option --sourcePort; did you mean --source-ports?"),
    (["run", "network-loss", "--zzzzzz"],
     "unknown option --zzzzzz; see 'faultctl actions network-loss'"),
    (["run", "network-loss", "--percent"], "--percent needs a value"),
    (["run", "network-loss", "--percent", "--yes"], "--percent needs a value"),
    (["run", "network-loss", "--percent", "1", "--percent=2"], "--percent is given twice"),
    (["run", "network-loss", "--duration=1s", "--duration=2s"], "--duration is given twice"),
    (["run", "network-loss", "--yes=1"], "--yes takes no value"),
    (["run", "network-loss", "20"], "run ACTION: unexpected \"20\"; see 'faultctl help run'"),
])
def test_wrong_usage_is_one_line_and_starts_nothing(daemon, args, message):
    p = run(daemon, *args)
    assert (p.returncode, p.err, p.out) == (2, f"faultctl: {message}\n", "")
    assert ("POST", "/v1/faults") not in daemon.seen()


def test_socket_path_too_long(tmp_path):
    p = run("/" + "x" * 200, "list")
    assert p.returncode == 2 and "too long" in p.err


# --- the daemon is not there -------------------------------------------------------------------

def test_missing_socket(tmp_path):
    p = run(tmp_path / "none", "list")
    assert p.returncode == 4 and p.out == ""
    assert p.err == f"faultctl: no socket {tmp_path}/none: is faultd running? " \
                    "(systemctl start faultd)\n"


def test_nobody_listens(tmp_path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(tmp_path / "s"))
    p = run(tmp_path / "s", "run", "network-loss")
    assert p.returncode == 4 and "is faultd running?" in p.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_no_permission():
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        os.chmod(home, 0o755)
        program = shutil.copy(FAULTCTL, home)
        s = socket.socket(socket.AF_UNIX)
        s.bind(f"{home}/s")
        s.listen()
        os.chmod(f"{home}/s", 0o660)
        p = subprocess.run([program, "list"], env=environment(f"{home}/s"), user=65534, group=65534,
                           extra_groups=[], capture_output=True, text=True, timeout=TIMEOUT)
    assert p.returncode == 4
    assert p.stderr == f"faultctl: no permission to use {home}/s: are you in the group faultd?\n"


def test_closed_before_the_answer(daemon):
    daemon.routes[("GET", "/v1/faults")] = \
        lambda h: h.connection.shutdown(socket.SHUT_RDWR)
    p = run(daemon, "list")
    assert p.returncode == 4 and "before it had answered" in p.err


def test_socket_option_beats_the_environment(daemon, tmp_path):
    daemon.routes[("GET", "/v1/faults")] = (200, {"faults": []})
    assert run(tmp_path / "none", "--socket", daemon.path, "list").out == "no faults\n"
    assert run(tmp_path / "none", "list", f"--socket={daemon.path}").out == "no faults\n"


# --- what the daemon refuses -------------------------------------------------------------------

@pytest.mark.parametrize("status, code", [(400, 3), (402, 3), (403, 3), (404, 3), (405, 3),
                                          (409, 3), (413, 3), (500, 1), (501, 7), (503, 7)])
@pytest.mark.parametrize("more", [[], ["--detach"], ["--dry-run"]])
def test_refusals(daemon, status, code, more):
    daemon.routes[("POST", "/v1/faults")] = \
        (status, refusal("parameters.percent: 150 is out of range; allowed: 1 to 100"))
    p = run(daemon, *LOSS_ARGS, *more)
    assert p.returncode == code and p.out == ""
    assert p.err == "faultctl: parameters.percent: 150 is out of range; allowed: 1 to 100\n"


def test_refusal_as_json(daemon):
    said = refusal("no")
    daemon.routes[("POST", "/v1/faults")] = (409, said)
    for more in ([], ["--detach"]):
        p = run(daemon, *LOSS_ARGS, "--json", *more)
        assert (p.returncode, json.loads(p.out), p.err) == (3, said, "faultctl: no\n")


def test_refusal_without_a_message(daemon):
    for body in (b"", b"<html>", b"[]", b'{"message":7}'):
        daemon.routes[("GET", "/v1/faults")] = (500, body)
        p = run(daemon, "list")
        assert (p.returncode, p.err) == (1, "faultctl: faultd answered with status 500 and no message\n")


# --- looking -----------------------------------------------------------------------------------

def test_list(daemon):
    said = {"faults": [fault(), done(id="f-old", action="cpu-stress", description="keep busy")]}
    daemon.routes[("GET", "/v1/faults")] = (200, said)
    p = run(daemon, "list")
    assert p.returncode == 0 and p.out.splitlines() == [
        "ID              ACTION        LEFT   STATE            WHAT",
        "f-0h3k7m2q9x4a  network-loss  29.9s  active           drop 20 % of tcp packets leaving eth0",
        "f-old           cpu-stress    -      done (deadline)  keep busy",
    ]
    assert json.loads(run(daemon, "list", "--json").out) == said
    assert json.loads(run(daemon, "--json", "list").out) == said


def test_show(daemon):
    said = done(clientToken="abc", notes=["left alone"], error={"code": "x", "message": "boom"},
                results=[{"pid": 99, "name": "nginx", "signal": "SIGTERM", "outcome": "exited",
                          "afterMs": 3}])
    daemon.routes[("GET", f"/v1/faults/{ID}")] = (200, said)
    p = run(daemon, "show", ID)
    assert p.returncode == 0
    for text in (f"{ID}  network-loss  done (deadline)\n", "interface=eth0 percent=20",
                 "by uid 0, pid 4711, attached", "put back in  0.9 ms", "token        abc",
                 "  1.  applied  attach the classifier to eth0 egress\n               undo: detach it; held by ",
                 "note: left alone", "boom", "pid  name   signal   outcome  after ms",
                 "99   nginx  SIGTERM  exited   3"):
        assert text in p.out
    assert json.loads(run(daemon, "show", ID, "--json").out) == said
    assert run(daemon, "show", "f-none").returncode == 3


def test_an_id_is_escaped(daemon):
    for given, path in (("../actions", "/v1/faults/..%2Factions"), ("..", "/v1/faults/.."),
                        ("a?b c", "/v1/faults/a%3Fb%20c")):
        assert run(daemon, "show", given).returncode == 3
        daemon.expect("GET", path)


def test_actions(daemon):
    p = run(daemon, "actions")
    assert p.returncode == 0 and p.out.splitlines() == [
        "network-loss  Drop a share of the packets",
        "process-kill  Kill processes (cannot be undone)",
    ]
    assert json.loads(run(daemon, "actions", "--json").out) == {"actions": [LOSS, KILL]}
    assert json.loads(run(daemon, "actions", "network-loss", "--json").out) == LOSS


def test_help_of_an_action_is_the_catalogue(daemon):
    p = run(daemon, "run", "network-loss", "--help")
    assert p.returncode == 0
    for row in (r"usage: faultctl run network-loss --duration TIME ",
                r"--percent integer +share of the packets \[required; 1 to 100 %\]",
                r"--source-ports ports +only these ports",
                r"--protocol enum +only this protocol \[tcp,udp,all; default all\]",
                r"--allow-lockout boolean +also what",
                r"alias AWSFIS-Run-Network-Packet-Loss\n  LossPercent=percent"):
        assert re.search(row, p.out)
    for args in (["help", "network-loss"], ["actions", "network-loss"],
                 ["plan", "network-loss", "-h"]):
        assert run(daemon, *args).out == p.out
    assert "needs --yes" in run(daemon, "actions", "process-kill").out
    assert run(daemon, "help", "no-such").returncode == 3


def test_doctor(daemon):
    checks = {"checks": [{"name": "tcx", "status": "missing", "detail": "Linux 5.10 has none"},
                         {"name": "cgroup", "status": "ok", "detail": "v2"}]}
    status = {"version": "1.2", "pid": 7, "openFaults": 1, "stuckFaults": 2, "privileged": True,
              "guardian": {"connected": False, "pid": 0}}
    daemon.routes[("GET", "/v1/doctor")] = (200, checks)
    daemon.routes[("GET", "/v1/status")] = (200, status)
    p = run(daemon, "doctor")
    assert p.returncode == 0 and p.out.splitlines() == [
        "faultd 1.2, pid 7, 1 open",
        "2 stuck: the host is NOT put back; try 'faultctl recover'",
        "no guardian is connected: no fault is accepted",
        "missing  tcx     Linux 5.10 has none",
        "ok       cgroup  v2",
    ]
    assert json.loads(run(daemon, "doctor", "--json").out) == checks


def test_watch(daemon):
    daemon.routes[("GET", "/v1/events")] = daemon.stream
    p = spawn(daemon, "watch")
    daemon.lines.put(state("undoing", "deadline"))
    assert p.stdout.readline() == \
        f"2026-01-31T12:00:01Z  {ID}  network-loss  undoing (deadline)\n"
    p.send_signal(signal.SIGINT)
    assert p.communicate(timeout=TIMEOUT) == ("", "") and p.returncode == 0


@pytest.mark.parametrize("last, code", [(None, 5), (ABORT, 5), (b"]\n", 1)])
def test_watch_ends(daemon, last, code):
    daemon.routes[("GET", "/v1/events")] = daemon.stream
    daemon.lines.put(state("active"))
    daemon.lines.put(last)
    p = run(daemon, "watch", "--json")
    assert p.returncode == code and json.loads(p.out) == state("active")


# --- stopping ----------------------------------------------------------------------------------

def test_stop(daemon):
    daemon.routes[("DELETE", f"/v1/faults/{ID}")] = (200, done(reason="stopped by uid 0"))
    p = run(daemon, "stop", ID)
    assert (p.returncode, p.err) == (0, "")
    assert p.out == f"{ID} network-loss: done (stopped by uid 0), put back in 0.9 ms\n"
    p = run(daemon, "stop", "f-none", ID)
    assert (p.returncode, p.err) == (3, "faultctl: no such path\n") and ID in p.out
    assert json.loads(run(daemon, "stop", ID, "--json").out)["state"] == "done"


def test_stop_all_and_recover(daemon):
    daemon.routes[("DELETE", "/v1/faults")] = (200, {"faults": []})
    assert run(daemon, "stop", "--all").out == "nothing to stop\n"
    daemon.routes[("POST", "/v1/recover")] = (200, {"faults": [done(), done()]})
    p = run(daemon, "recover")
    assert p.returncode == 0 and len(p.out.splitlines()) == 2


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_stuck(daemon, more):
    stuck = fault(state="stuck", reason="deadline", error={"code": "x", "message": "EBUSY"})
    daemon.routes[("DELETE", f"/v1/faults/{ID}")] = (200, stuck)
    daemon.routes[("POST", "/v1/recover")] = (200, {"faults": [done(), stuck, done()]})
    for args in (["stop", ID], ["stop", ID, "f-none"], ["recover"]):
        p = run(daemon, *args, *more)
        assert p.returncode == 6 and "stuck (deadline): EBUSY; the host is NOT put back" in p.err


# --- what is sent ------------------------------------------------------------------------------

def sent(daemon, *args, **env):
    daemon.routes[("POST", "/v1/faults")] = (200, fault())
    p = run(daemon, *args, **env)
    assert p.returncode == 0, p.err
    return daemon.expect("POST", "/v1/faults")


def test_request(daemon):
    body = sent(daemon, "run", "network-loss", "--percent", "20", "--source-ports=443,8000-8010",
                "--allow-lockout", "--duration", "30s", "--detach", "--lease=10s", "--id", "tok",
                "--yes")
    assert body == {"action": "network-loss", "duration": "30s", "lease": "10s",
                    "parameters": {"percent": "20", "sourcePorts": "443,8000-8010",
                                   "allowLockout": True},
                    "clientToken": "tok", "dryRun": False, "attach": False, "confirm": True}


@pytest.mark.parametrize("args, parameters", [
    (["--sourcePorts", "1"], {"sourcePorts": "1"}),
    (["--source-ports", "-5"], {"sourcePorts": "-5"}),
    (["--percent=--x"], {"percent": "--x"}),
    (["--percent="], {"percent": ""}),
    (["--allowLockout"], {"allowLockout": True}),
    (["--allow-lockout", "false"], {"allowLockout": False}),
    (["--allow-lockout=true"], {"allowLockout": True}),
    (["--allow-lockout=maybe"], {"allowLockout": "maybe"}),
    (["--allow-lockout", "--percent", "1"], {"allowLockout": True, "percent": "1"}),
])
def test_parameters(daemon, args, parameters):
    assert sent(daemon, "run", "network-loss", *args, "--detach")["parameters"] == parameters


def test_alias_keeps_its_own_names(daemon):
    body = sent(daemon, "run", "AWSFIS-Run-Network-Packet-Loss", "--LossPercent", "7",
                "--duration-seconds", "60", "--detach")
    assert body["action"] == "AWSFIS-Run-Network-Packet-Loss"
    assert body["parameters"] == {"LossPercent": "7", "DurationSeconds": "60"}
    p = run(daemon, "run", "network-loss", "--LossPercent", "7")
    assert p.returncode == 2


def test_ssm_command_id_is_the_token(daemon):
    assert sent(daemon, *LOSS_ARGS, "--detach", SSM_COMMAND_ID="c-1")["clientToken"] == "c-1"
    assert sent(daemon, *LOSS_ARGS, "--detach", "--id=t", SSM_COMMAND_ID="c-1")["clientToken"] == "t"
    assert "clientToken" not in sent(daemon, *LOSS_ARGS, "--detach", SSM_COMMAND_ID="")
    assert "clientToken" not in sent(daemon, "plan", "network-loss", SSM_COMMAND_ID="c-1")


def test_detach(daemon):
    daemon.routes[("POST", "/v1/faults")] = (201, fault())
    p = run(daemon, *LOSS_ARGS, "--detach")
    assert (p.returncode, p.out, p.err) == (0, ID + "\n", "")
    assert json.loads(run(daemon, *LOSS_ARGS, "--detach", "--json").out) == fault()
    daemon.routes[("POST", "/v1/faults")] = (201, fault(leaseRemainingMs=9999))
    p = run(daemon, *LOSS_ARGS, "--detach", "--lease", "10s")
    assert p.out == ID + "\n" and f"POST /v1/faults/{ID}/renew" in p.err


def test_plan(daemon):
    said = fault(state="planned", irreversible=True, notes=["be careful"])
    del said["id"]
    daemon.routes[("POST", "/v1/faults")] = (200, said)
    p = run(daemon, "plan", "network-loss", "--percent", "20", "--duration", "30s")
    assert p.returncode == 0
    for text in ("network-loss: would drop 20 % of tcp packets leaving eth0 for 30s\n",
                 "  1.  attach the classifier to eth0 egress\n      undo: detach it; held by ",
                 "This cannot be undone.\n", "note: be careful\n", "Nothing was changed.\n"):
        assert text in p.out
    body = daemon.expect("POST", "/v1/faults")
    assert body["dryRun"] is True and body["attach"] is False
    assert run(daemon, *LOSS_ARGS, "--dry-run").out == p.out
    assert json.loads(run(daemon, "plan", "network-loss", "--json").out) == said


# --- attached ----------------------------------------------------------------------------------

def test_attached_to_the_end(daemon):
    daemon.says(start(), state("active"), figures(3), figures(17), state("undoing", "deadline"),
                state("done", "deadline"),
                end(notes=["left alone"], results=[{"pid": 9, "outcome": "exited"}]))
    p = run(daemon, *LOSS_ARGS)
    assert (p.returncode, p.err) == (0, "")
    body = daemon.expect("POST", "/v1/faults")
    assert body["attach"] is True and "clientToken" not in body
    lines = p.out.splitlines()
    assert lines[0] == f"{ID} network-loss: active: drop 20 % of tcp packets leaving eth0 for 30s"
    assert lines[1] == f"{ID} network-loss: undoing (deadline)"
    assert re.fullmatch(rf"{ID} network-loss: done \(deadline\), put back in 0.9 ms; "
                        r"held \d+\.\ds; dropped 17 packets", lines[2])
    assert lines[3:] == ["  pid  outcome", "  9    exited", "note: left alone"]
    assert "\033" not in p.out


def test_attached_json_is_the_stream(daemon):
    said = [start(), figures(3), {"event": "later", "x": 1}, end()]
    daemon.says(*said)
    p = run(daemon, *LOSS_ARGS, "--json")
    assert p.returncode == 0 and [json.loads(x) for x in p.out.splitlines()] == said


@pytest.mark.parametrize("last, code", [({}, 0), ({"state": "stuck"}, 6), ({"state": "active"}, 1)])
def test_a_token_whose_fault_is_over(daemon, last, code):
    daemon.routes[("POST", "/v1/faults")] = (200, done(**last))
    p = run(daemon, *LOSS_ARGS, "--id", "tok")
    assert p.returncode == code and len((p.out + p.err).splitlines()) == 1
    assert json.loads(run(daemon, *LOSS_ARGS, "--id", "tok", "--json").out) == done(**last)


@pytest.mark.parametrize("last, code, text", [
    (dict(reason="deadline"), 0, ""),
    (dict(reason="completed"), 0, ""),
    (dict(reason="stopped by uid 1000"), 0, ""),
    (dict(reason="lease expired"), 1, "done (lease expired), put back in 0.9 ms"),
    (dict(reason="faultd is stopping"), 1, "done (faultd is stopping), put back in 0.9 ms"),
    (dict(state="failed", reason="", error={"code": "x", "message": "step 2: EIO"}), 1,
     "failed: step 2: EIO; put back in 0.9 ms"),
    (dict(state="stuck"), 6, "the host is NOT put back"),
])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_ends(daemon, last, code, text, more):
    daemon.says(start(), end(**last))
    p = run(daemon, *LOSS_ARGS, *more)
    assert p.returncode == code
    assert (text in p.err) if text else (p.err == "")


def test_irreversible_is_never_said_to_be_put_back(daemon):
    daemon.says(start(irreversible=True), end(irreversible=True, reason="completed"))
    p = run(daemon, "run", "process-kill", "--name=x", "--yes")
    assert "done (completed), what it did cannot be undone" in p.out and "put back" not in p.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_signal_stops_the_fault_and_waits_for_its_end(daemon, number, more):
    daemon.says(start())
    daemon.routes[("DELETE", f"/v1/faults/{ID}")] = (200, done(reason="stopped by uid 0"))
    p = spawn(daemon, *LOSS_ARGS, *more)
    first = p.stdout.readline()
    assert ID in first
    p.send_signal(number)
    daemon.expect("DELETE", f"/v1/faults/{ID}")
    assert not daemon.client_gone.is_set()
    daemon.lines.put(end(reason="stopped by uid 0"))
    out, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == 8 and err.startswith("stopping: ")
    if not more:
        assert "interrupted, rolled back: done (stopped by uid 0), put back in 0.9 ms" in out


def test_a_second_signal_leaves(daemon):
    daemon.says(start())
    p = spawn(daemon, *LOSS_ARGS)
    p.stdout.readline()
    daemon.routes[("DELETE", f"/v1/faults/{ID}")] = lambda h: daemon.client_gone.wait(TIMEOUT) and None
    p.send_signal(signal.SIGINT)
    daemon.expect("DELETE", f"/v1/faults/{ID}")
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == 8 and "faultd undoes the fault as this connection closes" in err
    assert daemon.client_gone.wait(TIMEOUT)


def test_a_signal_before_the_fault_is_applied(daemon):
    daemon.says()
    daemon.routes[("DELETE", f"/v1/faults/{ID}")] = (200, done())
    p = spawn(daemon, *LOSS_ARGS)
    daemon.expect("POST", "/v1/faults")
    p.send_signal(signal.SIGTERM)
    assert p.stderr.readline().startswith("stopping: ")
    daemon.lines.put(start())
    daemon.expect("DELETE", f"/v1/faults/{ID}")
    daemon.lines.put(end(reason="stopped by uid 0"))
    assert p.wait(TIMEOUT) == 8
    p.communicate()


@pytest.mark.parametrize("status, code", [(403, 8), (404, 8), (409, 8)])
def test_a_stop_that_is_refused(daemon, status, code):
    daemon.says(start())
    daemon.routes[("DELETE", f"/v1/faults/{ID}")] = (status, refusal("not yours"))
    p = spawn(daemon, *LOSS_ARGS)
    p.stdout.readline()
    p.send_signal(signal.SIGINT)
    daemon.expect("DELETE", f"/v1/faults/{ID}")
    if status == 403:
        assert daemon.client_gone.wait(TIMEOUT)
    else:
        daemon.lines.put(end())
    _, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == code and ("not yours" in err) == (status == 403)


def test_a_stop_that_is_stuck(daemon):
    daemon.says(start())
    daemon.routes[("DELETE", f"/v1/faults/{ID}")] = (200, fault(state="stuck"))
    p = spawn(daemon, *LOSS_ARGS)
    p.stdout.readline()
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == 6 and "NOT put back" in err


def test_a_signal_that_was_ignored_stays_ignored(daemon):
    daemon.says(start())
    p = subprocess.Popen([FAULTCTL, *LOSS_ARGS], env=environment(daemon.path), text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    p.stdout.readline()
    p.send_signal(signal.SIGHUP)
    daemon.lines.put(state("undoing"))
    assert "undoing" in p.stdout.readline()
    daemon.lines.put(end())
    assert p.communicate(timeout=TIMEOUT)[1] == "" and p.returncode == 0


@pytest.mark.parametrize("first", [[], [start()], [start(), figures(1)]])
@pytest.mark.parametrize("last", [None, ABORT])
def test_lost_connection(daemon, first, last):
    daemon.says(*first, last)
    p = run(daemon, *LOSS_ARGS)
    assert p.returncode == 5
    assert p.err == "faultctl: the connection to faultd was lost; the guardian puts the host " \
                    "back (see 'faultctl list')\n"


def test_killed_client_closes_the_connection(daemon):
    daemon.says(start())
    p = spawn(daemon, *LOSS_ARGS)
    p.stdout.readline()
    p.kill()
    assert daemon.client_gone.wait(TIMEOUT)
    p.communicate()


def test_interrupted_while_asking(daemon):
    daemon.routes[("GET", "/v1/faults")] = lambda h: h.connection.recv(1) and None
    p = spawn(daemon, "list")
    daemon.expect("GET", "/v1/faults")
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == 8 and err.startswith("faultctl: interrupted")


def test_the_lease_is_renewed_at_a_third(daemon):
    daemon.says(start(leaseRemainingMs=1500))
    daemon.routes[("POST", f"/v1/faults/{ID}/renew")] = (200, fault(leaseRemainingMs=1500))
    p = spawn(daemon, *LOSS_ARGS, "--lease", "1500ms")
    daemon.expect("POST", f"/v1/faults/{ID}/renew")
    times = []
    for _ in range(4):
        daemon.expect("POST", f"/v1/faults/{ID}/renew")
        times.append(time.monotonic())
    daemon.lines.put(end())
    _, err = p.communicate(timeout=TIMEOUT)
    assert (p.returncode, err) == (0, "")
    assert times[-1] - times[0] > 1.2 and min(b - a for a, b in zip(times, times[1:])) < 1


def test_a_lease_that_is_refused_is_told(daemon):
    daemon.says(start(leaseRemainingMs=9000))
    daemon.routes[("POST", f"/v1/faults/{ID}/renew")] = (403, refusal("not yours"))
    p = spawn(daemon, *LOSS_ARGS, "--lease", "9s")
    assert p.stderr.readline() == "faultctl: the lease was not renewed: not yours\n"
    daemon.lines.put(end())
    assert p.wait(TIMEOUT) == 0
    p.communicate()


# --- on a terminal -----------------------------------------------------------------------------

def test_progress_bar(daemon):
    daemon.says(start(), figures(17, 20000))
    t = Terminal(daemon, *LOSS_ARGS)
    t.until(f"{ID} network-loss: drop 20 %").until(r"1\d\.\ds left  dropped 17 packets")
    t.until(r"(19\.[0-4]|1[0-8]\.\d)s left")  # by its own clock
    assert "█" in t.screen and "░" in t.screen and "\033[32m" in t.screen
    daemon.lines.put(state("undoing", "deadline"))
    t.until(r"undoing \.\.\.")
    daemon.lines.put(end())
    t.until("put back in 0.9 ms")
    assert t.end() == 0
    assert "\r\033[K" in t.screen


def test_progress_fits_one_line(daemon):
    daemon.says(start(), figures(10**12))
    t = Terminal(daemon, *LOSS_ARGS, columns=40, NO_COLOR="1").until("dropped")
    daemon.lines.put(end())
    assert t.end() == 0
    for drawn in re.findall(r"\r([^\r\n]*)\033\[K", t.screen):
        assert len(drawn) < 40


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colours(daemon, env):
    daemon.routes[("GET", "/v1/faults")] = (200, {"faults": [fault()]})
    t = Terminal(daemon, "list", **env)
    assert t.end() == 0 and "active" in t.screen and "\033" not in t.screen
    t = Terminal(daemon, "list", NO_COLOR="")
    assert t.end() == 0 and "\033[32mactive" in t.screen


def test_a_dumb_terminal_gets_plain_lines(daemon):
    daemon.says(start(), figures(1), end())
    t = Terminal(daemon, *LOSS_ARGS, TERM="dumb")
    assert t.end() == 0 and "\033" not in t.screen and "active: drop" in t.screen


def test_ctrl_c_key(daemon):
    daemon.says(start())
    daemon.routes[("DELETE", f"/v1/faults/{ID}")] = (200, done())
    t = Terminal(daemon, *LOSS_ARGS).until("left")
    t.key("\x03")
    daemon.expect("DELETE", f"/v1/faults/{ID}")
    t.until(r"stopping \.\.\.")
    daemon.lines.put(end(reason="stopped by uid 0"))
    t.until("interrupted, rolled back")
    assert t.end() == 8


@pytest.mark.parametrize("key, code", [("y\n", 0), ("n\n", 3), ("\n", 3), ("\x04", 3), ("\x03", 3)])
def test_consent(daemon, key, code):
    plan = fault(state="planned", irreversible=True, action="process-kill")
    seen = []

    def serve(handler):
        seen.append(daemon.requests.queue[-1][2])
        return (200, plan) if seen[-1]["dryRun"] else daemon.stream(handler)

    daemon.routes[("POST", "/v1/faults")] = serve
    daemon.lines.put(start(irreversible=True))
    daemon.lines.put(end(irreversible=True, reason="completed"))
    t = Terminal(daemon, "run", "process-kill", "--name", "x").until(r"\[y/N\] ")
    assert "This cannot be undone." in t.screen and [b["dryRun"] for b in seen] == [True]
    t.key(key)
    assert t.end() == code
    assert [b["confirm"] for b in seen if not b["dryRun"]] == ([True] if code == 0 else [])


def test_without_a_terminal_nobody_is_asked(daemon):
    daemon.routes[("POST", "/v1/faults")] = (400, refusal("cannot be undone: confirm it"))
    p = run(daemon, "run", "process-kill", "--name", "x")
    assert (p.returncode, p.err) == (3, "faultctl: cannot be undone: confirm it\n")
    assert daemon.expect("POST", "/v1/faults")["confirm"] is False


# --- hostile -----------------------------------------------------------------------------------

EVIL = "a\033[2Jb\rc\x07\x7f\u009b31m\u202ed\n"


def no_controls(text):
    return not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_control_characters_do_not_reach_the_terminal(daemon):
    evil = fault(id=EVIL, action=EVIL, state=EVIL, reason=EVIL, description=EVIL, notes=[EVIL],
                 parameters={EVIL: EVIL}, results=[{EVIL: EVIL}], error={"message": EVIL},
                 figures=[{"text": EVIL, "value": EVIL, "unit": EVIL}], createdAt=EVIL)
    daemon.routes[("GET", "/v1/faults")] = (200, {"faults": [evil]})
    daemon.routes[("GET", "/v1/faults/x")] = (200, evil)
    daemon.routes[("GET", "/v1/actions/x")] = (200, {"name": EVIL, "parameters": [
        {"name": EVIL, "type": EVIL, "description": EVIL, "default": EVIL, "values": [EVIL]}]})
    daemon.routes[("GET", "/v1/doctor")] = (500, refusal(EVIL))
    for args in (["list"], ["show", "x"], ["actions", "x"], ["doctor"]):
        p = run(daemon, *args)
        assert no_controls(p.out) and no_controls(p.err) and "\\x1b" in p.out + p.err
    assert len(run(daemon, "list").out.splitlines()) == 2


def test_control_characters_in_a_stream(daemon):
    daemon.says(start(description=EVIL), {"event": "figures", "id": ID, "figures":
                [{"name": EVIL, "value": 1.25, "unit": EVIL}]}, end(reason=EVIL, notes=[EVIL]))
    t = Terminal(daemon, *LOSS_ARGS, NO_COLOR="1")
    assert t.end() == 1
    assert no_controls(t.screen.replace("\r\n", "\n").replace("\033[K", "").replace("\r", ""))


def test_json_output_has_no_raw_controls(daemon):
    raw = b'{"faults":[{"id":"\x1b[2J\x7f\xc2\x9b"}]}'
    daemon.routes[("GET", "/v1/faults")] = (200, raw)
    p = run(daemon, "list", "--json")
    assert no_controls(p.out) and json.loads(p.out)["faults"][0]["id"] == "\x1b[2J\x7f\x9b"


@pytest.mark.parametrize("args", [["list"], ["show", "x"], ["actions"], ["actions", "x"], ["doctor"],
                                  ["recover"], ["stop", "x"], ["stop", "--all"],
                                  ["run", "x", "--detach"], ["plan", "x"]])
@pytest.mark.parametrize("junk", [7, "x", None, [], {}, [[]], [7], [{}], {"x": 1}, -1e308, True])
def test_wrong_types(daemon, args, junk):
    keys = set(fault()) | set(LOSS) | {"faults", "actions", "checks", "guardian", "error",
                                       "undoneMs", "leaseRemainingMs", "version"}
    answer = (200, dict.fromkeys(keys, junk))
    daemon.routes = {(m, p): answer for m in ("GET", "POST", "DELETE")
                     for p in ("/v1/faults", "/v1/faults/x", "/v1/actions", "/v1/actions/x",
                               "/v1/doctor", "/v1/status", "/v1/recover")}
    assert run(daemon, *args).returncode == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"{}{}", b'{"a":1}\x00', b"\xff",
                                  b"[" * 100000, b'{"a":"\\', b"null"])
def test_broken_json(daemon, body):
    daemon.routes[("GET", "/v1/faults")] = (200, body)
    p = run(daemon, "list")
    assert (p.returncode, p.out) == (1, "") and "cannot be read" in p.err


@pytest.mark.parametrize("line", [b"{\n", b"[]\n", b"7\n", b"{}\n", b'{"event":7}\n', b"\x00\n",
                                  b'{"event":"start"}\n', b'{"event":"start","fault":{"id":7}}\n',
                                  b'{"event":"end","fault":[]}\n', b'{"event":"end"}'])
def test_broken_stream(daemon, line):
    daemon.says(line, *([None] if not line.endswith(b"\n") else []))
    p = run(daemon, *LOSS_ARGS)
    assert p.returncode == 5 and "cannot read what faultd sends" in p.err
    assert daemon.client_gone.wait(TIMEOUT)


def test_wrong_types_in_a_stream(daemon):
    odd = [{"event": "state", "id": 7, "state": []}, {"event": "figures", "figures": 7},
           {"event": "figures", "figures": [7, {}, {"value": {}}], "remainingMs": 1e300},
           {"event": "figures", "remainingMs": -5}, {"event": "start", "fault": fault(durationMs="x")}]
    daemon.says(start(remainingMs=[], durationMs=1e300), *odd, {"event": "end", "fault":
                {"state": "done", "reason": "deadline", "undoneMs": "x", "figures": 3}})
    p = run(daemon, *LOSS_ARGS)
    assert p.returncode == 0 and "the host was put back" in p.out


def test_huge_line(daemon):
    daemon.says(start(), b"x" * (1024 * 1024 + 1), b"\n")
    p = run(daemon, *LOSS_ARGS)
    assert p.returncode == 5 and "more than a line may hold" in p.err
    assert daemon.client_gone.wait(TIMEOUT)


def test_a_line_of_a_mebibyte_in_small_parts_is_read(daemon):
    line = json.dumps({"event": "later", "x": "y" * (1024 * 1024 - 100)}).encode() + b"\n"
    daemon.says(start(), *[line[i:i + 9999] for i in range(0, len(line), 9999)],
                *[json.dumps(figures(n)).encode() + b"\n" for n in range(200)], end())
    p = run(daemon, *LOSS_ARGS)
    assert p.returncode == 0 and "dropped 199 packets" in p.out


def test_huge_answer(daemon):
    daemon.routes[("GET", "/v1/faults")] = (200, b"x" * (33 * 1024 * 1024))
    p = run(daemon, "list")
    assert p.returncode == 1 and "too large" in p.err


def test_huge_headers_and_no_http(daemon):
    for raw in (b"HTTP/1.1 200 OK\r\n" + b"A: " + b"b" * 1000 + b"\r\n", b"hello\r\n\r\n"):
        def serve(handler, raw=raw):
            handler.wfile.write(raw * 100)
            handler.connection.shutdown(socket.SHUT_RDWR)
        daemon.routes[("GET", "/v1/faults")] = serve
        p = run(daemon, "list")
        assert p.returncode in (1, 4) and len(p.err.splitlines()) == 1


def test_long_text_is_cut(daemon):
    daemon.routes[("GET", "/v1/faults")] = (400, refusal("x" * 1000000))
    assert len(run(daemon, "list").err) < 5000


# --- output that goes nowhere ------------------------------------------------------------------

@pytest.mark.parametrize("args", [["help"], ["list"], ["list", "--json"], ["actions", "network-loss"]])
def test_full_disk(daemon, args):
    daemon.routes[("GET", "/v1/faults")] = (200, {"faults": [fault()]})
    with open("/dev/full", "w", encoding="utf-8") as full:
        p = subprocess.run([FAULTCTL, *args], env=environment(daemon.path), stdout=full,
                           stderr=subprocess.PIPE, text=True, timeout=TIMEOUT)
    assert (p.returncode, p.stderr) == \
        (1, "faultctl: cannot write the output: No space left on device\n")


def test_nobody_reads(daemon):
    daemon.says(start())
    p = spawn(daemon, *LOSS_ARGS)
    p.stdout.readline()
    p.stdout.close()
    daemon.lines.put(state("undoing"))
    daemon.lines.put(end())
    assert p.wait(TIMEOUT) == 0
    p.stderr.close()


def test_closed_standard_descriptors(daemon):
    daemon.routes[("GET", "/v1/faults")] = (200, {"faults": []})
    p = subprocess.run(["sh", "-c", 'exec "$0" list <&- >&- 2>&-', FAULTCTL],
                       env=environment(daemon.path), timeout=TIMEOUT)
    assert p.returncode == 0


# --- memory ------------------------------------------------------------------------------------

def sanitized():
    with open(FAULTCTL, "rb") as f:
        return b"__asan_init" in f.read()


@pytest.mark.skipif(not shutil.which("valgrind"), reason="no valgrind")
@pytest.mark.parametrize("args, code", [
    (["list"], 0), (["list", "--json"], 0), (["show", ID], 0), (["actions"], 0),
    (["run", "network-loss", "--help"], 0), (["plan", "network-loss"], 3), (["stop", ID], 0),
    (["run", "network-loss", "--percnt", "1"], 2), ([*LOSS_ARGS, "--lease", "9s"], 0),
    (["doctor"], 3), (["help"], 0),
])
def test_valgrind(daemon, args, code):
    if BUILD and sanitized():
        pytest.skip("built with a sanitizer")
    daemon.routes[("GET", "/v1/faults")] = (200, {"faults": [fault(), done(notes=["x"])]})
    daemon.routes[("GET", f"/v1/faults/{ID}")] = (200, done(figures=figures(3)["figures"]))
    daemon.routes[("DELETE", f"/v1/faults/{ID}")] = (200, done())
    if args[0] == "plan":
        daemon.routes[("POST", "/v1/faults")] = (400, refusal("no"))
    else:
        daemon.says(start(leaseRemainingMs=9000), figures(3),
                    end(results=[{"pid": 1}], notes=["x"]))
    p = run(daemon, *args, prefix=["valgrind", "-q", "--error-exitcode=99", "--leak-check=full",
                                   "--errors-for-leak-kinds=definite,indirect,possible"])
    assert p.returncode == code, p.err

# --- experiments -------------------------------------------------------------------------------

X = "EXPabcdefghijklmnop"
FOLLOW = f"/v1/experiments/{X}/log?follow=true"


def action(status="running", **more):
    now = time.time()
    return {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1M"}, "state": {"status": status, "reason": ""},
            "startTime": now, **more}


def experiment(status="running", actions=None, **more):
    actions = {"Wait": action()} if actions is None else actions
    return {"experiment": {"id": X, "state": {"status": status, "reason": "because"}, "creationTime": time.time(),
                           "startTime": time.time(), "actions": actions, **more}}


def record(kind="experiment-start"):
    return {"id": X, "log_type": kind, "event_timestamp": "2026-01-31T12:00:00Z", "version": "2", "details": {}}


@pytest.fixture
def running(daemon):
    """An experiment that runs until it is stopped."""
    state = {"status": "running"}

    def delete(handler):
        state["status"] = "stopped"
        daemon.lines.put(None)
        return 200, experiment("stopping")
    daemon.routes.update({
        ("POST", "/experiments"): (200, experiment("pending")),
        ("GET", f"/experiments/{X}"): lambda _: (200, experiment(state["status"])),
        ("DELETE", f"/experiments/{X}"): delete,
        ("GET", FOLLOW): daemon.stream,
    })
    return daemon


def test_ctrl_c_while_an_experiment_is_asked_for(running):
    """The answer is waited for: what has begun is stopped, and nothing runs that nobody watches."""
    answer = threading.Event()
    running.routes[("POST", "/experiments")] = lambda _: answer.wait(TIMEOUT) and (200, experiment("pending"))
    p = spawn(running, "experiment", "start", "EXT1")
    running.expect("POST", "/experiments")
    p.send_signal(signal.SIGINT)
    assert "waiting for faultd's answer" in p.stderr.readline()
    answer.set()
    out, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == 8, (out, err)
    assert ("DELETE", f"/experiments/{X}") in running.seen()


def test_a_second_ctrl_c_while_an_experiment_is_asked_for(running):
    running.routes[("POST", "/experiments")] = lambda _: threading.Event().wait(TIMEOUT) and None
    p = spawn(running, "experiment", "start", "EXT1")
    running.expect("POST", "/experiments")
    p.send_signal(signal.SIGINT)
    p.send_signal(signal.SIGTERM)
    assert p.wait(TIMEOUT) == 8


def test_ctrl_c_while_a_template_is_asked_for(running, tmp_path):
    """No experiment is started, and the template does not stay."""
    answer = threading.Event()
    made = (200, {"experimentTemplate": {"id": "EXT1"}})
    running.routes[("POST", "/experimentTemplates")] = lambda _: answer.wait(TIMEOUT) and made
    path = tmp_path / "t.json"
    path.write_text("{}")
    p = spawn(running, "experiment", "start", str(path))
    running.expect("POST", "/experimentTemplates")
    p.send_signal(signal.SIGINT)
    assert "waiting for faultd's answer" in p.stderr.readline()
    answer.set()
    assert p.wait(TIMEOUT) == 8
    seen = running.seen()
    assert ("DELETE", "/experimentTemplates/EXT1") in seen and ("POST", "/experiments") not in seen


@pytest.mark.parametrize("command", [("template", "create"), ("experiment", "start"), ("template", "validate")])
def test_ctrl_c_while_a_template_is_typed(daemon, command):
    p = subprocess.Popen([FAULTCTL, *command, "-"], env=environment(daemon.path), stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    p.stdin.write("{")
    p.stdin.flush()
    while struct.unpack("i", fcntl.ioctl(p.stdin, termios.FIONREAD, b"\0" * 4))[0]:
        assert p.poll() is None  # it has not read it yet
    p.send_signal(signal.SIGINT)
    assert p.wait(TIMEOUT) == 8
    assert "interrupted" in p.stderr.read() and daemon.requests.empty()


@pytest.mark.parametrize("text, says", [
    ("", "not JSON"), ("[]", "not a JSON object"), ("{\n\n x", "line 3"), ("{}\0{", "not JSON"), ("{} {}", "line 1"),
    (" " * (1 << 20) + "{}", "File too large"),
], ids=["empty", "list", "words", "nul", "two", "large"])
def test_template_files_that_are_none(daemon, tmp_path, text, says):
    path = tmp_path / "t.json"
    path.write_text(text)
    p = run(daemon, "template", "create", str(path))
    assert p.returncode == 2 and says in p.err and daemon.requests.empty()


def test_a_file_that_is_not_there(daemon):
    """It is no id of a template, and so nobody is asked for one."""
    p = run(daemon, "experiment", "start", "no-such.json")
    assert p.returncode == 2 and "cannot read no-such.json: No such file" in p.err and daemon.requests.empty()


def test_stop_waits_with_json_too(running):
    p = run(running, "experiment", "stop", X, "--json")
    assert p.returncode == 0, p.err
    assert json.loads(p.out)["experiment"]["state"]["status"] == "stopped"


def test_a_stop_that_is_not_waited_for(running):
    """What was not seen to be over is not said to be."""
    running.routes[("DELETE", f"/experiments/{X}")] = (200, experiment("stopping"))
    p = spawn(running, "experiment", "stop", X)
    running.expect("GET", FOLLOW)
    p.send_signal(signal.SIGINT)
    assert p.wait(TIMEOUT) == 8
    assert "is being stopped" in p.stderr.read()


def test_a_stop_by_ctrl_c_that_is_refused(running):
    running.routes[("DELETE", f"/experiments/{X}")] = (403, refusal("not yours"))
    p = spawn(running, "experiment", "start", "EXT1")
    running.expect("GET", FOLLOW)
    p.send_signal(signal.SIGINT)
    running.expect("DELETE", f"/experiments/{X}")
    while "not yours" not in p.stderr.readline():
        pass
    p.send_signal(signal.SIGINT)
    assert p.wait(TIMEOUT) == 8
    assert "the experiment goes on" in p.stderr.read()


def test_lost_while_an_experiment_is_watched(running):
    running.lines.put(record())
    running.lines.put(ABORT)
    p = run(running, "experiment", "watch", X)
    assert p.returncode == 5 and "lost" in p.err


def screen_of(text, rows, columns):
    """What a terminal of this size shows: the sequences that faultctl uses, and no others."""
    lines, at, x = [""] * rows, 0, 0
    for part in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|.", text, re.S):
        if part == "\n":
            if at == rows - 1:
                lines = lines[1:] + [""]
            at = min(at + 1, rows - 1)
        elif part == "\r":
            x = 0
        elif part.endswith("A") and part.startswith("\x1b"):
            at = max(at - int(part[2:-1]), 0)
        elif part.endswith("K") and part.startswith("\x1b"):
            lines[at] = lines[at][:x]
        elif part.endswith("J") and part.startswith("\x1b"):
            lines[at] = lines[at][:x]
            lines[at + 1:] = [""] * (rows - at - 1)
        elif not part.startswith("\x1b"):
            lines[at] = lines[at][:x] + part + lines[at][x + 1:]
            x += 1
            assert x < columns, "a line is too long"
    return lines


@pytest.mark.parametrize("rows, columns", [(24, 80), (10, 80), (24, 40), (10, 30), (3, 20), (40, 200)])
def test_many_actions_on_a_terminal(running, rows, columns):
    """However often they are drawn, they are there once."""
    names = {f"action-{i:02}-" + "n" * 54: action() for i in range(20)}
    running.routes[("GET", f"/experiments/{X}")] = (200, experiment(actions=names))
    t = Terminal(running, "experiment", "watch", X, columns=columns, rows=rows)
    t.until(r"(?s)(?:EXP.*?\x1b\[J.*?){3}")
    os.close(t.master)
    t.process.wait(TIMEOUT)
    whole = t.screen[:t.screen.rindex("\x1b[J") + 3]
    lines = [line for line in screen_of(whole, rows, columns) if line.strip()]
    assert lines[0].startswith("EXP"), lines
    shown = [line for line in lines if "action-" in line]
    assert len(set(shown)) == len(shown) == (20 if rows > 21 else max(rows - 3, 0)), lines
    if rows <= 21:
        assert f"and {20 - len(shown)} more" in lines[-1]
    if columns >= 40:
        assert all("running" in line for line in shown), lines
    if columns == 200:
        assert all("n" * 54 in line for line in shown), lines


def test_names_in_other_scripts(running):
    """A character may take two columns, or none."""
    name = "負荷試験" * 16
    running.routes[("GET", f"/experiments/{X}")] = (200, experiment(actions={name: action()}))
    t = Terminal(running, "experiment", "watch", X, columns=60).until("J")
    os.close(t.master)
    t.process.wait(TIMEOUT)
    line = re.search("  (負[^ ]*) ", t.screen).group(1)
    assert line.endswith("…") and set(line[:-1]) <= set("負荷試験") and 2 * len(line) - 1 <= 20


@pytest.mark.parametrize("json_too", [False, True])
def test_a_terminal_that_knows_no_utf8(running, json_too):
    """The bytes of a letter may be control characters there: 0x9b is CSI."""
    bad = "\u011b31m\u2026"
    running.routes[("GET", "/experiments?maxResults=100")] = (200, {"experiments": [
        {"id": X, "state": {"status": "failed", "reason": bad}, "creationTime": 1.0}]})
    t = Terminal(running, *(["--json"] if json_too else []), "experiment", "list", LC_ALL="C")
    t.end()
    assert "failed" in t.screen and "31m" in t.screen
    assert all(c < "\x7f" for c in t.screen), t.screen
    if json_too:
        assert json.loads(t.screen)[0]["state"]["reason"] == bad
    piped = run(running, "--json", "experiment", "list", LC_ALL="C")
    assert json.loads(piped.out)[0]["state"]["reason"] == bad


@pytest.mark.parametrize("number", [1e300, -1e300, 1e17, 0, "no", None, {}])
def test_times_that_are_none(running, number):
    running.routes[("GET", f"/experiments/{X}")] = (200, experiment(
        startTime=number, creationTime=number, endTime=number,
        actions={"A": action(startTime=number, endTime=number), "B": action("pending", startTime=None)}))
    running.routes[("GET", f"/experiments/{X}/resolvedTargets?maxResults=100")] = (200, {"resolvedTargets": []})
    running.routes[("GET", "/experiments?maxResults=100")] = (200, {"experiments": [{"id": X, "creationTime": number}]})
    for args in (("show", X), ("list",)):
        p = run(running, "experiment", *args)
        assert p.returncode == 0 and X in p.out, p.err


def test_ids_are_printed_as_json(daemon, tmp_path):
    path = tmp_path / "t.json"
    path.write_text("{}")
    daemon.routes[("POST", "/experimentTemplates")] = (200, {"experimentTemplate": {"id": 'a"b\u001b'}})
    assert json.loads(run(daemon, "--json", "template", "create", str(path)).out) == {"id": 'a"b\u001b'}
    daemon.routes[("POST", "/experimentTemplates")] = (200, {"experimentTemplate": {}})
    assert run(daemon, "template", "create", str(path)).returncode == 1


def test_pages_without_an_end(daemon):
    """A list whose next page is itself ends all the same."""
    daemon.routes[("GET", "/experimentTemplates?maxResults=100")] = (200, {"experimentTemplates": [], "nextToken": "n"})
    daemon.routes[("GET", "/experimentTemplates?maxResults=100&nextToken=n")] = (200, {
        "experimentTemplates": [], "nextToken": "n"})
    assert run(daemon, "template", "list").out == "no templates\n"
