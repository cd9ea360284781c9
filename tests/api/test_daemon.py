# SPDX-License-Identifier: Apache-2.0
"""faultd as a program: options, directories, socket, supervisor, privileges."""

import contextlib
import grp
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile

import pytest

from lib import harness
from lib.harness import PATIENCE, alive, wait_for

NOBODY = 65534
CPU = {"percent": 1, "cpus": "0-0"}


@pytest.fixture
def made():
    """Collects what must be closed at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda thing: (stack.callback(thing.close), thing)[1]


@pytest.fixture
def open_dir():
    """A directory that other users can enter, which a test's own is not."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="fdd"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


# A start that fails leaves its memory to the kernel; that is no leak.
NO_LEAKS = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")


def faultd_once(*options, **kwargs):
    return subprocess.run([str(harness.FAULTD), *map(str, options)], capture_output=True, text=True, timeout=PATIENCE,
                          env=NO_LEAKS, **kwargs)


def dirs(tmp_path):
    return "--runtime-dir", tmp_path / "run", "--state-dir", tmp_path / "state"


def refused_start(*options, status=1, **kwargs):
    """Ends with this status and one line that says why."""
    done = faultd_once(*options, **kwargs)
    assert done.returncode == status, done
    lines = [line for line in done.stderr.splitlines() if "going on without" not in line]
    assert len(lines) == 1, done.stderr
    assert done.stdout == ""
    return lines[0]


# Options


def test_help_and_version():
    done = faultd_once("--help")
    assert done.returncode == 0 and done.stderr == ""
    for option in ("--socket", "--runtime-dir", "--state-dir", "--config", "--log-level", "--version"):
        assert option in done.stdout
    done = faultd_once("--version")
    assert done.returncode == 0 and done.stdout.startswith("faultd ") and done.stdout.count("\n") == 1


@pytest.mark.parametrize("options", [["--nonsense"], ["extra"], ["--socket"], ["--log-level", "loud"], ["--log-level", ""],
                                     ["-x"], ["--config"], ["--help=1"]])
def test_bad_options(tmp_path, options):
    line = refused_start(*dirs(tmp_path), *options, status=2)
    assert "faultd" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text, says", [
    ("{", "not JSON"), ("[]", "object"), ('{"maxFaults": 0}', "maxFaults"), ('{"maxFaults": 257}', "maxFaults"),
    ('{"maxDuration": 60}', "maxDuration"), ('{"colour": "red"}', "colour"), ('{"group": 5}', "group"),
    ('{"maxFaults": 1, "maxFaults": 2}', "maxFaults"), ('{"classifierHook": "xdp"}', "classifierHook"), ("", "JSON"),
    ('{"irreversible": true}', "irreversible"), (" " * (256 * 1024), "config"),
])
def test_bad_configurations(tmp_path, text, says):
    path = tmp_path / "faultd.json"
    path.write_text(text)
    line = refused_start(*dirs(tmp_path), "--config", path)
    assert "--config" in line and str(path) in line and says in line
    assert not (tmp_path / "run").exists()


def test_a_configuration_that_cannot_be_read(tmp_path):
    line = refused_start(*dirs(tmp_path), "--config", tmp_path / "missing.json")
    assert "missing.json" in line and "No such file" in line
    line = refused_start(*dirs(tmp_path), "--config", tmp_path)
    assert "--config" in line and "directory" in line


def test_a_configuration_without_permission(open_dir):
    path = open_dir / "faultd.json"
    path.write_text("{}")
    path.chmod(0o600)
    done = subprocess.run(["setpriv", f"--reuid={NOBODY}", "--clear-groups", harness.FAULTD, *map(str, dirs(open_dir)),
                           "--config", path], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert "Permission denied" in done.stderr and str(path) in done.stderr


# Directories and the socket


@pytest.mark.parametrize("option", ["--runtime-dir", "--state-dir"])
def test_directories_that_cannot_be(tmp_path, option):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "a" / "b", tmp_path / "file", tmp_path / "file" / "x", "/proc/faultd-here"):
        line = refused_start(*dirs(tmp_path), option, path)
        assert option in line and str(path) in line


def test_a_directory_that_is_not_ours_to_write(open_dir):
    (open_dir / "run").mkdir(mode=0o755)
    done = subprocess.run(["setpriv", f"--reuid={NOBODY}", "--clear-groups", harness.FAULTD, "--runtime-dir",
                           open_dir / "run", "--state-dir", "/tmp"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert "Permission denied" in done.stderr and str(open_dir / "run") in done.stderr


def test_the_socket_path_is_taken(tmp_path):
    path = tmp_path / "s"
    path.write_text("precious")
    line = refused_start(*dirs(tmp_path), "--socket", path)
    assert str(path) in line and "not a socket" in line
    assert path.read_text() == "precious"
    path.unlink()
    path.mkdir()
    line = refused_start(*dirs(tmp_path), "--socket", path)
    assert str(path) in line and path.is_dir()
    path.rmdir()
    path.symlink_to(tmp_path / "elsewhere")
    refused_start(*dirs(tmp_path), "--socket", path)
    assert path.is_symlink() and not (tmp_path / "elsewhere").exists()
    refused_start(*dirs(tmp_path), "--socket", tmp_path / "no" / "such" / "dir")
    line = refused_start(*dirs(tmp_path), "--socket", tmp_path / ("x" * 150))
    assert "107" in line
    wait_for(lambda: not [p for p in harness.processes_named("faultd-guardian")
                          if str(tmp_path) in pathlib.Path(f"/proc/{p}/cmdline").read_text()], "no guardian left behind")


def test_a_living_socket_is_not_taken_away(tmp_path):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(tmp_path / "s"))
        s.listen()
        line = refused_start(*dirs(tmp_path), "--socket", tmp_path / "s")
        assert "another program listens" in line
        assert (tmp_path / "s").is_socket()


def test_a_stale_socket_is_replaced(tmp_path, made):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
    assert path.is_socket()
    d = harness.Faultd(tmp_path / "d", "--socket", path, wait_ready=False)
    made(d)
    d.socket = path
    wait_for(d.is_ready, "ready")
    assert d.stop() == 0
    assert not path.exists()


def test_a_runtime_dir_that_is_too_long(tmp_path):
    line = refused_start("--runtime-dir", tmp_path / ("r" * 100), "--state-dir", tmp_path / "state")
    assert "long" in line


def test_two_of_them_do_not_share_a_directory(faultd, tmp_path):
    done = faultd_once("--runtime-dir", faultd.runtime, "--state-dir", tmp_path / "state2", "--socket", tmp_path / "s2")
    assert done.returncode == 1 and "another faultd" in done.stderr
    assert faultd.is_ready()
    faultd.stop_fault(faultd.start_fault("cpu-stress", parameters=CPU))


def test_the_socket_is_for_owner_and_group(tmp_path, made):
    group = grp.getgrall()[-1]
    d = made(harness.Faultd(tmp_path / "d", config={"group": group.gr_name}))
    st = d.socket.stat()
    assert stat.S_IMODE(st.st_mode) == 0o660
    assert (st.st_uid, st.st_gid) == (os.geteuid(), group.gr_gid)
    assert stat.S_IMODE((d.runtime / "journal").stat().st_mode) & 0o077 == 0


# A supervisor


LAUNCHER = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(64)
if s.fileno() == 3:
    os.set_inheritable(3, True)
else:
    os.dup2(s.fileno(), 3)
os.environ["LISTEN_FDS"] = "1"
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_socket_activation(tmp_path, made):
    path = tmp_path / "passed.sock"
    d = harness.Faultd(tmp_path / "d", wait_ready=False, prefix=[sys.executable, "-c", LAUNCHER, path])
    made(d)
    d.socket = path
    wait_for(d.is_ready, "ready on the socket that was passed")
    assert not (d.runtime / "faultd.sock").exists()
    assert d.get("/v1/status")[1]["pid"] == d.pid
    fault = d.start_fault("cpu-stress", parameters=CPU)
    (load,) = harness.processes_named("faultd-load")
    assert b"LISTEN_FDS" not in pathlib.Path(f"/proc/{load}/environ").read_bytes()
    (ours,) = {os.readlink(f"/proc/{d.pid}/fd/3")}
    for pid in (load, d.guardian_pid()):  # whoever kept it open would keep clients waiting after faultd's end
        assert ours not in [os.readlink(p) for p in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
    d.stop_fault(fault)
    assert d.stop() == 0
    assert path.exists()  # its owner's


class Supervisor:
    """The other side of sd_notify()."""

    def __init__(self, directory):
        self.path = directory / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(PATIENCE)
        self.told = []

    def until(self, what):
        """Reads messages up to one that contains this line; a line may be a beginning, with a *."""
        while True:
            lines = self.socket.recv(4096).decode().splitlines()
            self.told += lines
            if any(line == what or what[-1] == "*" and line.startswith(what[:-1]) for line in lines):
                return

    def close(self):
        self.socket.close()


class Guardian:
    def __init__(self, d):
        self.process = subprocess.Popen([harness.GUARDIAN, "--watch", "--runtime-dir", d.runtime],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        self.process.terminate()
        self.process.wait(PATIENCE)


def test_under_a_supervisor(tmp_path, made):
    s = made(Supervisor(tmp_path))
    d = harness.Faultd(tmp_path / "d", wait_ready=False, config={},
                       env={"NOTIFY_SOCKET": str(s.path), "WATCHDOG_USEC": "1000000"})
    made(d)
    g = made(Guardian(d))
    s.until("READY=1")
    wait_for(d.is_ready, "the guardian connected")
    assert d.get("/v1/status")[1]["guardian"]["pid"] == g.process.pid
    assert d.stray_processes() == [g.process.pid]  # none of its own
    s.until("WATCHDOG=1")
    s.until("WATCHDOG=1")
    fault = d.start_fault("cpu-stress", parameters=CPU)
    s.until("STATUS=1 fault open")
    d.stop_fault(fault)
    s.until("STATUS=0 faults open")
    os.kill(d.pid, signal.SIGHUP)
    s.until("RELOADING=1")
    s.until("READY=1")
    d.process.terminate()
    s.until("STOPPING=1")
    assert d.process.wait(PATIENCE) == 0, d.log()
    assert alive(g.process.pid)  # it stays for the next
    d.start()
    assert d.get("/v1/status")[1]["guardian"]["pid"] == g.process.pid
    d.stop()


def test_ready_is_said_without_a_guardian_too(tmp_path, made):
    s = made(Supervisor(tmp_path))
    d = harness.Faultd(tmp_path / "d", wait_ready=False, env={"NOTIFY_SOCKET": str(s.path)})
    made(d)
    s.until("READY=1")
    s.until("STATUS=0 faults open, no guardian")
    status, error = d.fault("cpu-stress", parameters=CPU)
    assert (status, error["code"], d.error_type) == (503, *["ServiceUnavailableException"] * 2)
    assert d.fault("cpu-stress", dryRun=True, parameters=CPU)[0] == 200
    assert harness.processes_named("faultd-load") == [] and d.journals() == []
    made(Guardian(d))
    wait_for(d.is_ready, "the guardian connected")
    s.until("STATUS=0 faults open")  # told without a fault in between
    assert d.stop() == 0


def test_without_a_guardian_there_is_no_fault(tmp_path, made, monkeypatch):
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(harness.FAULTD, alone)
    shutil.copy(harness.LOAD, alone)
    monkeypatch.setattr(harness, "FAULTD", alone / "faultd")
    d = harness.Faultd(tmp_path / "d", wait_ready=False)
    made(d)
    wait_for(d.socket.exists, "the socket")
    wait_for(lambda: d.get("/v1/status")[0] == 200, "an answer")
    assert not d.get("/v1/status")[1]["guardian"]["connected"]
    status, error = d.fault("cpu-stress", parameters=CPU)
    assert (status, error["code"]) == (503, "ServiceUnavailableException")
    assert "guardian" in error["message"]
    stream = d.attach("cpu-stress", **CPU)
    assert stream.status == 503
    stream.close()
    (check,) = [c for c in d.get("/v1/doctor")[1]["checks"] if c["name"] == "guardian"]
    assert check["status"] == "missing"
    assert "faultd-guardian" in d.log()
    assert d.get("/v1/faults") == (200, {"faults": []}) and d.journals() == []
    assert harness.processes_named("faultd-load") == []
    assert d.stop() == 0


def test_without_a_load_generator_there_is_no_faultd(tmp_path):
    shutil.copy(harness.FAULTD, tmp_path)
    done = subprocess.run([tmp_path / "faultd", *map(str, dirs(tmp_path))], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1 and "faultd-load" in done.stderr


# Privileges and callers


@pytest.fixture
def unprivileged(open_dir, made, root):
    directory = open_dir / "d"
    directory.mkdir()
    os.chown(directory, NOBODY, NOBODY)
    return made(harness.Faultd(directory, prefix=["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]))


def test_unprivileged(unprivileged, network, victim):
    d = unprivileged
    assert not d.get("/v1/status")[1]["privileged"]
    checks = {c["name"]: c for c in d.get("/v1/doctor")[1]["checks"]}
    assert checks["classifier"]["status"] == "missing" and "CAP_NET_ADMIN" in checks["classifier"]["detail"]
    assert checks["processes"]["status"] == "limited" and "CAP_KILL" in checks["processes"]["detail"]
    assert checks["guardian"]["status"] == "ok"
    before = harness.HostState(devices=[network.dev], pids=[victim.pid])
    fault = d.start_fault("cpu-stress", parameters=CPU)
    (load,) = harness.processes_named("faultd-load")
    assert pathlib.Path(f"/proc/{load}").stat().st_uid == NOBODY
    d.stop_fault(fault)
    for action in ("network-loss", "network-blackhole"):
        status, error = d.fault(action, interface=network.dev)
        assert (status, error["code"], d.error_type) == (501, *["NotSupportedException"] * 2)
        assert "CAP_NET_ADMIN" in error["message"] and "\n" not in error["message"]
    for action in ("process-kill", "process-pause"):
        status, error = d.fault(action, confirm=True, pid=[victim.pid])
        assert (status, error["code"]) == (501, "NotSupportedException"), error
        assert "CAP_KILL" in error["message"] and str(victim.pid) in error["message"]
    assert d.journals() == []
    harness.assert_put_back(before, lambda: harness.HostState(devices=[network.dev], pids=[victim.pid]))


def test_an_unprivileged_faultd_signals_its_own_user(unprivileged, open_dir):
    d = unprivileged
    program = harness.copy_of_sleep(open_dir, f"fdu{os.getpid()}")
    process = subprocess.Popen(["setpriv", f"--reuid={NOBODY}", "--clear-groups", program, "600"])
    wait_for(lambda: pathlib.Path(f"/proc/{process.pid}/comm").read_text().strip() == program.name, "the victim")
    try:
        fault = d.start_fault("process-pause", user=str(NOBODY), name=program.name)
        wait_for(lambda: harness.state_of(process.pid) == "T", "stopped")
        d.stop_fault(fault)
        wait_for(lambda: harness.state_of(process.pid) == "S", "continued")
    finally:
        process.kill()
        process.wait()


def as_user(d, uid, groups, method, path, body=None):
    """(HTTP status, JSON) of a request by another user."""
    argv = ["setpriv", f"--reuid={uid}", f"--regid={uid}", f"--groups={groups}" if groups else "--clear-groups",
            "curl", "-s", "-X", method, "--unix-socket", d.socket, "-w", "\n%{http_code}", f"http://x{path}"]
    done = subprocess.run([*map(str, argv), *(["-d", json.dumps(body)] if body else [])], capture_output=True, text=True,
                          timeout=PATIENCE)
    text, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(text) if text else None


def test_other_users_are_refused(open_dir, made, root):
    d = made(harness.Faultd(open_dir / "d"))
    fault = d.start_fault("cpu-stress", parameters=CPU)
    assert as_user(d, NOBODY, "", "GET", "/v1/status") == (0, None)  # the file's mode alone
    d.socket.chmod(0o666)
    body = {"action": "cpu-stress", "duration": "30s", "parameters": CPU}
    for method, path in (("GET", "/v1/status"), ("GET", "/v1/faults"), ("GET", "/v1/actions"), ("GET", "/v1/doctor"),
                         ("POST", "/v1/faults"), ("DELETE", "/v1/faults"), ("DELETE", f"/v1/faults/{fault['id']}"),
                         ("POST", "/v1/recover"), ("GET", "/v1/events"), ("GET", "/v1/nothing")):
        status, error = as_user(d, NOBODY, "", method, path, body if method == "POST" else None)
        assert (status, error["code"]) == (403, "AccessDeniedException"), (path, error)
        assert str(NOBODY) in error["message"]
    assert d.show(fault)["state"] == "active"
    assert len(d.get("/v1/faults")[1]["faults"]) == 1


def test_members_of_the_group_are_welcome(open_dir, made, root):
    group = next(g for g in grp.getgrall() if g.gr_gid not in (0, NOBODY))
    d = made(harness.Faultd(open_dir / "d", config={"group": group.gr_name}))
    assert as_user(d, NOBODY, str(group.gr_gid), "GET", "/v1/status")[0] == 200
    assert as_user(d, NOBODY, "12345", "GET", "/v1/status")[0] == 0
    status, fault = as_user(d, NOBODY, f"12345,{group.gr_gid}", "POST", "/v1/faults",
                            {"action": "cpu-stress", "duration": "30s", "parameters": CPU})
    assert status == 201 and fault["caller"]["uid"] == NOBODY
    status, stopped = as_user(d, NOBODY, str(group.gr_gid), "DELETE", f"/v1/faults/{fault['id']}")
    assert (status, stopped["reason"]) == (200, f"stopped by uid {NOBODY}")
    d.socket.chmod(0o666)
    assert as_user(d, NOBODY, "12345", "GET", "/v1/status")[0] == 403


def test_a_user_without_a_faultd_group_on_the_host(open_dir, made, root):
    d = made(harness.Faultd(open_dir / "d", config={"group": "fdnosuchgroup"}))
    d.socket.chmod(0o666)
    assert as_user(d, NOBODY, "1", "GET", "/v1/status")[0] == 403
    assert d.get("/v1/status")[0] == 200
