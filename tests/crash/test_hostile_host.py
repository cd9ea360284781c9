# SPDX-License-Identifier: Apache-2.0
"""What is broken on the host may be what undoing needs: logs nobody reads, no privilege, odd journals."""

import fcntl
import os
import pathlib
import signal
import subprocess
import tempfile
import threading

from lib import harness
from lib.harness import GUARDIAN, alive, state_of, wait_for


def full_pipe():
    """The writing end of a pipe that nobody reads and that holds all it can."""
    read_end, write_end = os.pipe()
    flags = fcntl.fcntl(write_end, fcntl.F_GETFL)
    fcntl.fcntl(write_end, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    try:
        while True:
            os.write(write_end, b"x" * 4096)
    except BlockingIOError:
        pass
    fcntl.fcntl(write_end, fcntl.F_SETFL, flags)
    return read_end, write_end


def test_a_log_that_nobody_reads_stops_no_undo(tmp_path, victim):
    d = harness.Faultd(tmp_path / "faultd", start=False)
    read_end, write_end = full_pipe()
    try:
        d.process = subprocess.Popen(
            [str(harness.FAULTD), "--runtime-dir", str(d.runtime), "--state-dir", str(tmp_path / "state")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=write_end)
        wait_for(d.is_ready, "faultd ready")
        d.start_fault("process-pause", pid=victim.pid)
        wait_for(lambda: state_of(victim.pid) == "T", "the victim is stopped")
        d.kill()
        wait_for(lambda: state_of(victim.pid) == "S", "the victim goes on")
    finally:
        os.close(write_end)
        os.close(read_end)
        d.close()


def test_a_pause_that_is_not_permitted_leaves_nothing_to_undo(tmp_path, victim):
    """SIGSTOP was refused, so SIGCONT is too: that is no failed undo."""
    for part in ("run", "state"):
        (tmp_path / part).mkdir()
        os.chown(tmp_path / part, 65534, 65534)
    for path in (tmp_path, *tmp_path.parents):
        if path == pathlib.Path(tempfile.gettempdir()):
            break
        os.chmod(path, 0o755)
    log = open(tmp_path / "log", "wb")
    p = subprocess.Popen(["setpriv", "--reuid=65534", "--clear-groups", str(harness.FAULTD), "--runtime-dir",
                          str(tmp_path / "run"), "--state-dir", str(tmp_path / "state")], stderr=log)
    log.close()
    d = harness.Faultd(tmp_path / "unused", start=False)
    d.runtime, d.socket, d.process = tmp_path / "run", tmp_path / "run" / "faultd.sock", p
    try:
        wait_for(d.is_ready, "faultd ready")
        status, error = d.fault("process-pause", pid=victim.pid)
        assert status == 501 and "CAP_KILL" in error["message"], error
        assert d.get("/v1/status")[1]["stuckFaults"] == 0
        assert d.journals() == [] and state_of(victim.pid) == "S"
    finally:
        d.close()


def leave_behind(d, pid):
    """A paused process whose faultd and guardian are both dead."""
    d.start_fault("process-pause", pid=pid)
    wait_for(lambda: state_of(pid) == "T", "the victim is stopped")
    guardian = d.guardian_pid()
    os.kill(guardian, signal.SIGSTOP)
    d.kill()
    os.kill(guardian, signal.SIGKILL)
    wait_for(lambda: not alive(guardian), "the guardian is dead")
    assert state_of(pid) == "T"


def guardian_all(d, *prefix):
    return subprocess.run([*map(str, prefix), str(GUARDIAN), "--all", "--runtime-dir", str(d.runtime)],
                          capture_output=True, text=True, timeout=60)


def test_no_descriptors_is_no_reason_to_forget_a_journal(faultd, victim):
    leave_behind(faultd, victim.pid)
    starved = guardian_all(faultd, "prlimit", "--nofile=5")
    assert state_of(victim.pid) == "S" or (starved.returncode == 1 and faultd.journals())
    done = guardian_all(faultd)
    assert done.returncode == 0, done
    assert state_of(victim.pid) == "S" and faultd.journals() == []


def test_an_unknown_boot_is_taken_for_this_one(faultd, victim):
    leave_behind(faultd, victim.pid)
    done = guardian_all(faultd, "unshare", "--mount", "sh", "-c",
                        'mount --bind /dev/null /proc/sys/kernel/random/boot_id && exec "$0" "$@"')
    assert done.returncode == 0, done
    assert state_of(victim.pid) == "S" and faultd.journals() == []


def test_a_clsact_that_vanishes_before_we_use_it(tmp_path, network, crash_points):
    """It was somebody's when we looked. One that we added now would be nobody's to remove."""
    before = harness.HostState(devices=[network.dev])
    harness.run("tc", "qdisc", "add", "dev", network.dev, "clsact")
    # created, header, three steps, begin: the seventh point is right before the qdisc step
    d = harness.Faultd(tmp_path / "faultd", env={"FAULTD_HALT_AT": "7"}, config={"classifierHook": "clsact"})
    answer = {}
    asked = threading.Thread(target=lambda: answer.update(
        zip(("status", "body"), d.fault("network-loss", interface=network.dev))))
    try:
        asked.start()
        wait_for(lambda: state_of(d.pid) == "T", "faultd halts")
        assert "before a step" in d.log().splitlines()[-1]
        harness.run("tc", "qdisc", "del", "dev", network.dev, "clsact")
        os.kill(d.pid, signal.SIGCONT)
        asked.join(harness.PATIENCE)
        assert answer["status"] == 500 and "meanwhile" in answer["body"]["message"], answer
        assert d.journals() == []
        harness.assert_put_back(before, lambda: harness.HostState(devices=[network.dev]))
    finally:
        d.close()
