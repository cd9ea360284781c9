# SPDX-License-Identifier: Apache-2.0
"""faultd-load itself: its ties, its deadline, its options, and that it loads at all."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BINARY = Path(os.environ.get("FAULTD_BUILD_DIR", "build")) / "agent/load/faultd-load"
CPU = max(os.sched_getaffinity(0))

pytestmark = [pytest.mark.skipif(not BINARY.exists(), reason=f"{BINARY} is not built"), pytest.mark.alone]


def boot_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def argv(seconds=30.0, **changes):
    options = {"cpu": CPU, "percent": 5, "mode": "add", "parent": os.getpid(),
               "deadline_boot_ns": boot_ns() + int(seconds * 1e9)} | changes
    words = [str(BINARY), "cpu"]
    for name, value in options.items():
        if value is not None:
            words += ["--" + name.replace("_", "-"), str(value)]
    return words


def wait_for(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


def status(pid, field):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return line.split(":", 1)[1].strip()
    raise KeyError(field)


def stat(pid):
    """The fields after the name; [0] is the third of proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pid):
    return sum(int(x) for x in stat(pid)[11:13]) / os.sysconf("SC_CLK_TCK")


def gone(pid):
    try:
        return stat(pid)[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def worker():
    started = []

    def start(*args, popen=None, **changes):
        process = subprocess.Popen(argv(*args, **changes), stderr=subprocess.PIPE, text=True,
                                   **(popen or {}))
        started.append(process)
        # The name is set after exec, and all that matters comes just after it.
        wait_for(lambda: status(process.pid, "Name") == "faultd-load")
        wait_for(lambda: status(process.pid, "Cpus_allowed_list") == str(changes.get("cpu", CPU)))
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def run(words):
    return subprocess.run(words, capture_output=True, text=True, timeout=10, check=False)


def test_dies_with_its_parent():
    """Also while it is busy all the time."""
    for percent in (5, 100):
        parent = subprocess.Popen(
            [sys.executable, "-c",
             "import os, subprocess, sys\n"
             "p = subprocess.Popen(sys.argv[1:] + ['--parent', str(os.getpid())])\n"
             "print(p.pid, flush=True)\n"
             "p.wait()\n", *argv(parent=None, percent=percent)], stdout=subprocess.PIPE, text=True)
        pid = int(parent.stdout.readline())
        wait_for(lambda pid=pid: cpu_seconds(pid) > 0.02)
        killed = time.monotonic()
        parent.kill()
        parent.wait()
        parent.stdout.close()
        wait_for(lambda pid=pid: gone(pid), 0.25 - (time.monotonic() - killed))


def test_wrong_parent_ends_quietly():
    result = run(argv(parent=os.getpid() + 1))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("percent", [0.1, 50, 100])
def test_deadline(percent):
    """In the middle of a burst or of a pause: it is on time."""
    late = []
    for _ in range(3):
        deadline = boot_ns() + 700_000_000
        result = run(argv(percent=percent, deadline_boot_ns=deadline))
        late.append(boot_ns() - deadline)
        assert (result.returncode, result.stderr) == (0, "")
    assert min(late) >= 0
    assert min(late) < 200e6  # the best of three: a busy machine is slow to tell us


def test_deadline_in_the_past():
    result = run(argv(-1))
    assert (result.returncode, result.stderr) == (0, "")


def test_pinned(worker):
    for cpu in sorted(os.sched_getaffinity(0))[:4]:
        process = worker(cpu=cpu, percent=50)
        assert status(process.pid, "Cpus_allowed_list") == str(cpu)
        assert stat(process.pid)[36] == str(cpu)


def test_first_to_go_without_memory(worker):
    process = worker()
    assert Path(f"/proc/{process.pid}/oom_score_adj").read_text().strip() == "1000"


def test_inherits_nothing(worker):
    """Neither blocked or ignored signals, nor files, nor scheduling."""

    def spoil():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if os.geteuid() == 0:
            os.nice(7)
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))

    read_end, write_end = os.pipe()
    process = worker(mode="total", popen={"preexec_fn": spoil, "pass_fds": [write_end]})
    os.close(write_end)
    assert os.read(read_end, 1) == b""  # it would hang if the worker still held the other end
    os.close(read_end)

    wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/fd")) == 4)  # 0 to 2 and /proc/stat
    assert int(status(process.pid, "SigBlk"), 16) == 0
    assert int(status(process.pid, "SigIgn"), 16) == 0
    assert os.sched_getscheduler(process.pid) == os.SCHED_OTHER
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(2) == -signal.SIGTERM


@pytest.mark.parametrize("mode", ["add", "total"])
def test_load_is_about_right(worker, mode):
    """By its own CPU time, so others on this machine do not break it. Total can only be less."""
    process = worker(percent=30, mode=mode)
    time.sleep(0.5)
    began, used = time.monotonic(), cpu_seconds(process.pid)
    time.sleep(4)
    percent = 100 * (cpu_seconds(process.pid) - used) / (time.monotonic() - began)
    assert percent < 35
    assert percent > 25 or mode == "total"


def test_total_leaves_a_busy_cpu_alone(worker):
    busy = worker(percent=80)
    process = worker(percent=50, mode="total")
    time.sleep(2)
    used, others = cpu_seconds(process.pid), cpu_seconds(busy.pid)
    time.sleep(3)
    assert cpu_seconds(process.pid) - used < 0.05 * 3
    assert cpu_seconds(busy.pid) - others > 0.5 * 3


@pytest.mark.parametrize("words, says", [
    (["cpu", "--help"], "--percent"),
    (["--help"], "cpu"),
    (["--version"], "faultd-load "),
])
def test_says_what_it_is(words, says):
    result = run([str(BINARY), *words])
    assert result.returncode == 0
    assert says in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("changes, says", [
    ({"cpu": None}, "--cpu is required"),
    ({"cpu": "x"}, "--cpu"),
    ({"cpu": "-1"}, "--cpu"),
    ({"cpu": "1024"}, "--cpu"),
    ({"cpu": ""}, "--cpu"),
    ({"percent": None}, "--percent is required"),
    ({"percent": "0"}, "--percent"),
    ({"percent": "0.09"}, "--percent"),
    ({"percent": "100.1"}, "--percent"),
    ({"percent": "1e1"}, "--percent"),
    ({"percent": "0x10"}, "--percent"),
    ({"percent": "nan"}, "--percent"),
    ({"percent": "5.5.5"}, "--percent"),
    ({"percent": "50%"}, "--percent"),
    ({"mode": None}, "--mode is required"),
    ({"mode": "both"}, "--mode"),
    ({"parent": None}, "--parent is required"),
    ({"parent": "0"}, "--parent"),
    ({"parent": "99999999999"}, "--parent"),
    ({"deadline_boot_ns": None}, "--deadline-boot-ns is required"),
    ({"deadline_boot_ns": "soon"}, "--deadline-boot-ns"),
    ({"deadline_boot_ns": "99999999999999999999"}, "--deadline-boot-ns"),
    ({"deadline_boot_ns": "9000000000000000000"}, "12 hours"),
    ({"colour": "red"}, "--colour"),
])
def test_bad_option(changes, says):
    result = run(argv(**changes))
    assert result.returncode == 2
    assert result.stdout == ""
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [
    [], ["sound"], ["--sound"], ["cpu", "--cpu"], ["cpu", "--cpu", "0", "--cpu", "0"],
    ["cpu", "--help=me"], ["cpu", "-x"],
])
def test_bad_words(words):
    result = run([str(BINARY), *words])
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1


def test_bad_trailing_word():
    result = run([*argv(), "now"])
    assert result.returncode == 2
    assert "'now'" in result.stderr


def test_cpu_that_is_not_there():
    result = run(argv(cpu=1023))
    assert result.returncode == 1
    assert "CPU 1023" in result.stderr
    assert result.stderr.count("\n") == 1
