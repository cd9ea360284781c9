# SPDX-License-Identifier: Apache-2.0
"""What a dead faultd and a dead guardian left: the next faultd, or --all, puts it back. Journals may be damaged."""

import os
import pathlib
import re
import signal
import zlib

import pytest
from crash_lives import Victim, assert_calm, dump, guardian_all, is_stopped, shows
from lib.harness import Faultd, proc_stat, run, state_of, wait_for


def seal(body):
    """A journal line with its checksum."""
    return f"{zlib.crc32(body.encode()):08x} {body}\n"


def boot_id():
    return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Leftover:
    """A faultd that was killed together with its guardian while faults were open."""

    def __init__(self, directory, targets, config=None):
        self.targets = targets
        self.d = Faultd(directory, config=config)
        for t in targets:
            t.faultd_pid = self.d.pid
        self.faults = []
        for t in targets:
            status, fault = t.start(self.d)
            assert status == 201, fault
            self.faults.append(fault)
        shows(*targets)
        guardian = self.d.guardian_pid()
        os.kill(guardian, signal.SIGKILL)
        self.d.kill()
        self.journal_dir = self.d.runtime / "journal"

    def path(self, i=0):
        return self.journal_dir / f"{self.faults[i]['id']}.journal"

    def off(self):
        return [o for t in self.targets for o in t.off()]


@pytest.fixture
def leave(tmp_path, targets):
    """leave(kind, …): those faults are open, and nobody is there any more."""
    made = []

    def make(*kinds, config=None):
        left = Leftover(tmp_path / f"faultd{len(made)}", [targets(k) for k in kinds], config)
        made.append(left)
        return left

    yield make
    for left in made:
        left.d.close()


CLSACT = {"classifierHook": "clsact"}


def answers(d):
    try:
        return d.get("/v1/status")[0] == 200
    except ConnectionError:
        return False


def test_next_faultd_undoes_before_its_api_answers(leave):
    left = leave("pause", "loss-clsact", "loss-clsact-foreign", "cpu-stress", "blackhole-tcx", config=CLSACT)
    assert left.off() and len(left.d.journals()) == 5
    left.d.socket.unlink()
    left.d.start(wait_ready=False)
    # Who connects as soon as the socket is there is answered when all is undone, and not before.
    wait_for(left.d.socket.exists, "the socket", pause=0.0005)
    wait_for(lambda: answers(left.d), "the first answer", pause=0.0005)
    assert left.off() == [] and left.d.journals() == []
    wait_for(left.d.is_ready, "ready")
    status, faults = left.d.get("/v1/faults")
    assert (status, faults) == (200, {"faults": []})
    assert "put back what 5 faults of an earlier faultd had left" in left.d.log()
    # And it works.
    left.d.stop_fault(left.targets[0].start(left.d)[1])
    assert_calm(left.d)


def test_next_faultd_undoes_the_stopped_socket_way(leave):
    """The old socket is still there and nobody listens: also then nothing is answered before all is undone."""
    left = leave("pause")
    assert left.d.socket.exists()
    left.d.start(wait_ready=False)
    wait_for(left.d.is_ready, "ready")
    assert left.off() == [] and left.d.journals() == []


def test_the_clean_journal_is_reproducible(leave):
    """What the tests below do to a journal is done to lines that are understood: checksum, order, words."""
    left = leave("pause")
    lines = left.path().read_text().splitlines(keepends=True)
    assert [seal(x[9:-1]) for x in lines] == lines
    words = [x.split()[1] for x in lines]
    # The victim that was stopped before is learned of just before its turn, whichever that is.
    assert words in (["fault", "step", "step", "step", "begin", "did", "begin", "did"],
                     ["fault", "step", "step", "begin", "did", "step", "begin", "did"]), words


@pytest.mark.parametrize("cut", [1, 5, "newline"])
def test_torn_last_line(leave, cut):
    """A line torn at the end never preceded a change: the rest is undone, and that is no error."""
    left = leave("pause")
    with open(left.path(), "a") as f:
        text = seal("undone 0")
        f.write(text[:-1] if cut == "newline" else text[:cut])
    done = guardian_all(left.d.runtime)
    assert done.returncode == 0, done
    assert left.off() == [] and left.d.journals() == []


def _flip(path, at):
    raw = bytearray(path.read_bytes())
    raw[at] ^= 0x01
    path.write_bytes(raw)


def test_flipped_byte_in_each_line(leave, targets):
    """One bad byte, wherever it is: the fault beside it is undone, nothing crashes, the exit code tells, the file stays
    for people to see. Its own steps are undone unless the bad line is the one that says how."""
    probe = leave("pause")
    n_lines = len(probe.path().read_text().splitlines())
    assert guardian_all(probe.d.runtime).returncode == 0
    for line in range(n_lines):
        left = leave("pause", "pause")
        path = left.path(0)
        lines = path.read_bytes().splitlines(keepends=True)
        _flip(path, sum(map(len, lines[:line])) + 12)
        done = guardian_all(left.d.runtime)
        assert done.returncode == 1, (line, done)
        assert left.targets[1].off() == [], "the journal beside the bad one was not undone"
        word = lines[line].split()[1]
        if word != b"step":
            assert left.targets[0].off() == [], f"line {line} ({word}) was bad and the step was not undone: {done.stderr}"
        assert left.d.journals() == []
        assert [p.name for p in left.journal_dir.glob("*.bad")] == [path.name + ".bad"]
        # Told once, not for ever.
        assert guardian_all(left.d.runtime).returncode == 0


def test_next_faultd_starts_beside_a_bad_journal(leave):
    left = leave("pause", "pause")
    lines = left.path(0).read_bytes().splitlines(keepends=True)
    _flip(left.path(0), len(lines[0]) // 2)
    left.d.start()
    assert left.off() == [] and left.d.journals() == []
    assert "bad lines or files in the journal" in left.d.log()


def _garbage(kind):
    return {"empty": b"", "noise": os.urandom(3000) + b"\n" + os.urandom(500), "one long line": b"x" * 100_000,
            "zeros": bytes(5000), "blank lines": b"\n" * 50, "only a checksum": b"00000000 \n",
            "huge index": seal("begin 99999999999999999999").encode(), "index too high": seal("begin 1024").encode(),
            "negative index": seal("begin -1").encode(), "step of no kind": seal("step 0 kind=nonsense").encode() +
            seal("begin 0").encode(), "no step at all": seal("begin 3").encode()}[kind]


@pytest.mark.parametrize("kind", ["empty", "noise", "one long line", "zeros", "blank lines", "only a checksum", "huge index",
                                  "index too high", "negative index", "step of no kind", "no step at all"])
def test_garbage_beside_good_ones(leave, kind):
    left = leave("pause")
    bad = left.journal_dir / "f-aaaaaaaaaaaa.journal"
    bad.write_bytes(_garbage(kind))
    listed = guardian_all(left.d.runtime, "--list")
    assert listed.returncode in (0, 1), listed
    done = guardian_all(left.d.runtime)
    assert left.off() == [] and not left.path().exists()
    assert done.returncode in (0, 1), done
    # Either there was nothing to it, or it is kept and told.
    assert bad.with_name(bad.name + ".bad").exists() == (done.returncode == 1), done
    assert left.d.journals() == []


def test_bad_block_in_the_middle(leave):
    """More than a line's worth of rubbish in the middle: what follows is still read, and undone."""
    left = leave("pause")
    lines = left.path().read_bytes().splitlines(keepends=True)
    left.path().write_bytes(b"".join(lines[:3]) + b"\xff" * 6000 + b"\n" + b"".join(lines[3:]))
    done = guardian_all(left.d.runtime)
    assert left.off() == [], f"steps behind the bad block were forgotten: {done}"
    assert done.returncode == 1


@pytest.mark.parametrize("what", ["directory", "symlink", "dangling", "fifo"])
def test_what_is_no_file(leave, tmp_path, what):
    """Something else under the name of a journal is not followed, not waited for, and stops nothing."""
    left = leave("pause")
    odd = left.journal_dir / "x.journal"
    aside = tmp_path / "precious"
    aside.write_text(seal(f"fault id=f-x action=x boot={boot_id()} deadline=1 pid=1 start=1 number=9"))
    {"directory": odd.mkdir, "symlink": lambda: odd.symlink_to(aside), "dangling": lambda: odd.symlink_to("nowhere"),
     "fifo": lambda: os.mkfifo(odd)}[what]()
    listed = guardian_all(left.d.runtime, "--list", timeout=5)
    assert listed.returncode in (0, 1) and left.faults[0]["id"] in listed.stdout
    done = guardian_all(left.d.runtime, timeout=5)
    assert done.returncode == 1, done
    assert left.off() == [] and not left.path().exists()
    assert aside.exists() and "id=f-x" in aside.read_text()
    # faultd lives with it as well.
    left.d.start()
    left.d.stop_fault(left.targets[0].start(left.d)[1])


def _rewrite(path, change):
    """The same journal with change(body) for each line, checksums right."""
    path.write_text("".join(seal(change(x[9:])) for x in path.read_text().splitlines()))


def test_journal_of_another_boot(leave):
    """Nothing a step changes outlives a boot: pids and interfaces are others' by now. It is only removed."""
    left = leave("pause", "pause")
    _rewrite(left.path(0), lambda b: b.replace(boot_id(), "01234567-89ab-cdef-0123-456789abcdef"))
    done = guardian_all(left.d.runtime)
    assert done.returncode == 0, done
    assert left.targets[0].off() and not left.targets[1].off(), "a process of another boot was signalled"
    assert left.d.journals() == []


def test_reused_pid(leave):
    """The same pid with another start time is another process: it is left stopped."""
    left = leave("pause", "pause")
    victim = left.targets[0].running[0]
    start = proc_stat(victim.pid)[2]
    _rewrite(left.path(0), lambda b: b.replace(f"start={start} name={victim.name}", f"start={start - 1} name={victim.name}"))
    assert f"start={start - 1} " in left.path(0).read_text()
    done = guardian_all(left.d.runtime)
    assert done.returncode == 0, done
    assert left.targets[0].off() and not left.targets[1].off()
    assert left.d.journals() == []


def test_reused_pid_of_a_worker(leave, targets, tmp_path):
    """A journal names a worker whose pid is someone else's by now: that one is not killed."""
    left = leave("cpu-stress")
    pids = re.findall(r" pid=(\d+) start=(\d+)\n", left.path().read_text())
    assert any(int(pid) for pid, _ in pids), left.path().read_text()
    bystander = Victim(tmp_path)
    while str(proc_stat(bystander.pid)[2]) in [start for _, start in pids]:  # born in the same tick: not the case
        bystander.close()
        bystander = Victim(tmp_path)
    try:
        for pid, start in pids:
            _rewrite(left.path(), lambda b: b.replace(f" pid={pid} start={start}", f" pid={bystander.pid} start={start}"))
        assert f" pid={bystander.pid} " in left.path().read_text()
        done = guardian_all(left.d.runtime)
        assert done.returncode == 0, done
        assert state_of(bystander.pid) == "S" and left.d.journals() == []
    finally:
        bystander.close()


def test_victims_and_devices_that_are_gone(leave):
    """A victim died and an interface was removed: there is nothing to put back, and that is no failure."""
    left = leave("pause", "loss-clsact", config=CLSACT)
    for v in left.targets[0].running:
        v.close()
    left.targets[1].close()
    done = guardian_all(left.d.runtime)
    assert done.returncode == 0, done
    assert left.d.journals() == []


def test_someone_continued_the_victim(leave):
    """It runs already: undoing leaves it running and says so."""
    left = leave("pause")
    victim = left.targets[0].running[0]
    os.kill(victim.pid, signal.SIGCONT)
    wait_for(lambda: not is_stopped(victim.pid), "it runs")
    done = guardian_all(left.d.runtime)
    assert done.returncode == 0 and "continued by someone else" in done.stderr
    assert left.off() == []


def test_someone_uses_our_clsact(leave):
    """A third party has put a filter into the clsact that faultd had added: both stay, ours goes."""
    left = leave("loss-clsact", config=CLSACT)
    dev = left.targets[0].dev
    run("tc", "filter", "add", "dev", dev, "egress", "pref", 10, "protocol", "ip", "u32", "match", "u32", 0, 0, "classid", "1:1")
    done = guardian_all(left.d.runtime)
    assert done.returncode == 0, done
    filters = run("tc", "filter", "show", "dev", dev, "egress")
    assert "u32" in filters and "bpf" not in filters and "clsact" in run("tc", "qdisc", "show", "dev", dev)
    assert left.d.journals() == []


def test_twice_is_once(leave):
    left = leave("pause", "loss-clsact", config=CLSACT)
    journals = {p: p.read_bytes() for p in left.journal_dir.glob("*.journal")}
    assert len(journals) == 2
    for _ in range(2):
        for path, raw in journals.items():
            path.write_bytes(raw)
        assert guardian_all(left.d.runtime).returncode == 0
        assert left.off() == [] and left.d.journals() == []
