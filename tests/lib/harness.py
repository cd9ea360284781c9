# SPDX-License-Identifier: Apache-2.0
"""What the tests share: a private faultd, the host as it is before and after, namespaces of our own.

Nothing here touches what it did not make: faultd runs with its own directories, faults aim at veth
pairs, processes and namespaces of the test. Waiting is for events, with a generous bound.
"""

import contextlib
import ctypes
import functools
import http.client
import itertools
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

from lib import shards

BUILD = pathlib.Path(os.environ.get("FAULTD_BUILD_DIR", "build"))
FAULTD = BUILD / "agent" / "faultd"
FAULTCTL = BUILD / "agent" / "ctl" / "faultctl"
GUARDIAN = BUILD / "agent" / "guardian" / "faultd-guardian"
LOAD = BUILD / "agent" / "load" / "faultd-load"

PATIENCE = 20.0  # seconds; bounds a wait for something that normally takes milliseconds

PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNET = 0x40000000


def become_subreaper():
    """Orphans of a killed faultd come to us, so that the tests do not depend on how fast PID 1 reaps."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans():
    """Collects children that are not subprocess' own; their Popen objects cope with ECHILD."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] > 0:
            pass


def wait_for(condition, what, timeout=PATIENCE, pause=0.005):
    """Returns the first true value of condition(); fails loudly after the timeout."""
    until = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"waited {timeout:g} s for: {what}")
        time.sleep(pause)


def run(*argv, check=True, **kwargs):
    """Runs a tool (ip, tc, bpftool …) that tests read the kernel with. Returns its stdout."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=60, **kwargs)
    if check and done.returncode != 0:
        raise AssertionError(f"{argv}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def proc_stat(pid):
    """(state, ppid, start, cpu_ticks) of a process, or None."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    f = text.rpartition(")")[2].split()
    return f[0], int(f[1]), int(f[19]), int(f[11]) + int(f[12])


def state_of(pid):
    st = proc_stat(pid)
    return st[0] if st else None


def alive(pid):
    return state_of(pid) not in (None, "Z", "X")


def processes_named(name):
    """Living processes by comm: all, or beside other tests our own."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "comm").read_text().strip() == name and alive(int(entry.name)):
                    found.append(int(entry.name))
    return sorted(p for p in found if not shards.inside() or shards.is_ours(p))


def copy_of_sleep(directory, name):
    """A program that sleeps for its argument's seconds, under a process name of its own."""
    assert len(name) <= 15, name
    path = pathlib.Path(directory) / name
    shutil.copy(shutil.which("sleep"), path)
    return path


@contextlib.contextmanager
def network_namespace(name):
    """This thread is inside the named network namespace; sockets made here stay there."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(there, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            if libc.setns(here, CLONE_NEWNET) != 0:
                os._exit(1)  # in the wrong namespace nothing may go on
    finally:
        os.close(here)
        os.close(there)


def without_dad(dev):
    """IPv6 addresses are there at once: nobody is asked for a second or two whether they are taken."""
    pathlib.Path("/proc/sys/net/ipv6/conf", dev, "accept_dad").write_text("0")


class HTTPConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path, timeout=PATIENCE):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Stream:
    """An answer read line by line: an attached fault, or the events."""

    def __init__(self, connection, response):
        self.connection, self.response = connection, response
        self.status = response.status

    def line(self):
        """The next event as a dict; None at the end of the stream."""
        raw = self.response.readline()
        return json.loads(raw) if raw.strip() else None

    def until(self, condition):
        """Reads up to the first event for which condition(event) is true, and returns it."""
        for event in iter(self.line, None):
            if condition(event):
                return event
        raise AssertionError("the stream ended first")

    def close(self):
        self.response.close()
        self.connection.close()


class Faultd:
    """A faultd (and its guardian) with directories of its own."""

    def __init__(self, directory, *options, env=None, config=None, start=True, wait_ready=True, prefix=()):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.runtime = self.directory / "run"
        self.socket = self.runtime / "faultd.sock"
        self.log_path = self.directory / "log"
        self.options = [str(o) for o in options]
        self.prefix = [str(p) for p in prefix]  # a program that becomes faultd: setpriv, ip netns exec
        self.env = dict(os.environ, **(env or {}))
        if config is not None:
            path = self.directory / "faultd.json"
            path.write_text(config if isinstance(config, str) else json.dumps(config))
            if "accessKeys" in path.read_text():
                path.chmod(0o640)  # it has secrets
            self.options += ["--config", str(path)]
        self.process = None
        if start:
            self.start(wait_ready)

    def start(self, wait_ready=True):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [*self.prefix, str(FAULTD), "--runtime-dir", str(self.runtime), "--state-dir", str(self.directory / "state"),
             "--log-level", "debug", *self.options],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env)
        log.close()
        if wait_ready:
            wait_for(lambda: self.process.poll() is not None or self.is_ready(), f"faultd ready; log:\n{self.log()}")
            assert self.process.poll() is None, f"faultd ended:\n{self.log()}"

    def is_ready(self):
        if not self.socket.exists():
            return False
        try:
            return self.get("/v1/status")[1]["guardian"]["connected"]
        except OSError:
            return False

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def guardian_pid(self):
        return self.get("/v1/status")[1]["guardian"]["pid"]

    # HTTP

    def request(self, method, path, body=None, raw=None):
        """(status, JSON) of one request on a connection of its own."""
        connection = HTTPConnection(self.socket)
        try:
            connection.request(method, path, body=raw if raw is not None else json.dumps(body) if body is not None else None)
            response = connection.getresponse()
            text = response.read()
            self.error_type = response.getheader("x-amzn-ErrorType")
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    def get(self, path):
        return self.request("GET", path)

    def fault(self, action, duration="30s", **kwargs):
        """POST /v1/faults; keyword arguments that are request fields go there, all others are parameters."""
        fields = {k: kwargs.pop(k) for k in ("dryRun", "confirm", "clientToken", "lease") if k in kwargs}
        body = {"action": action, "parameters": kwargs.pop("parameters", kwargs), **fields}
        if duration is not None:
            body["duration"] = duration
        return self.request("POST", "/v1/faults", body)

    def start_fault(self, action, duration="30s", **kwargs):
        """Starts a fault that must work, and returns it."""
        status, fault = self.fault(action, duration, **kwargs)
        assert status == 201, fault
        assert fault["state"] in ("active", "done"), fault
        return fault

    def stop_fault(self, fault):
        status, fault = self.request("DELETE", f"/v1/faults/{fault['id']}")
        assert status == 200, fault
        return fault

    def show(self, fault):
        status, shown = self.get(f"/v1/faults/{fault['id']}")
        assert status == 200, shown
        return shown

    def figures(self, fault):
        return {f["name"]: f["value"] for f in self.show(fault)["figures"]}

    def wait_state(self, fault, *states, timeout=PATIENCE):
        return wait_for(lambda: (f := self.show(fault))["state"] in states and f, f"{fault['id']} {states}", timeout)

    def stream(self, method, path, body=None):
        connection = HTTPConnection(self.socket)
        connection.request(method, path, body=json.dumps(body) if body is not None else None)
        return Stream(connection, connection.getresponse())

    def attach(self, action, duration="30s", **parameters):
        return self.stream("POST", "/v1/faults", {"action": action, "duration": duration, "attach": True,
                                                  "parameters": parameters})

    def ctl(self, *argv, check=False, **kwargs):
        done = subprocess.run([str(FAULTCTL), "--socket", str(self.socket), *map(str, argv)], capture_output=True,
                              text=True, timeout=PATIENCE * 3, **kwargs)
        if check:
            assert done.returncode == 0, done
        return done

    # Ends

    def journals(self):
        return sorted(p.name for p in (self.runtime / "journal").glob("*.journal"))

    def kill(self):
        """SIGKILL, and waits until it is gone; the guardian takes over."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self):
        """SIGTERM. Returns the exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def close(self):
        """Whatever state it is in: nothing of it stays."""
        if self.process and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        wait_for(lambda: not self.stray_processes(), f"guardian and workers of {self.runtime} gone; log:\n{self.log()}")
        reap_orphans()

    def stray_processes(self):
        """Living guardians of this faultd, and workers whose parent it was."""
        found = []
        for pid in processes_named("faultd-guardian"):
            with contextlib.suppress(OSError):
                if str(self.runtime) in pathlib.Path(f"/proc/{pid}/cmdline").read_text():
                    found.append(pid)
        for pid in processes_named("faultd-load"):
            with contextlib.suppress(OSError, ValueError, IndexError):  # it may be dying
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                if words[words.index("--parent") + 1] == str(self.process.pid):
                    found.append(pid)
        return found


_numbers = itertools.count()


class Network:
    """A namespace with one end of a veth pair in it; the other end is here and is what faults aim at.

    10.98.N.1 and fd98:N::1 are this side, .2 is inside. Everything vanishes with close()."""

    def __init__(self):
        n = (os.getpid() * 7 + next(_numbers)) % 250
        while pathlib.Path(f"/run/netns/fdt{n}").exists():
            n = (n + 1) % 250
        self.name = f"fdt{n}"
        self.dev, self.peer = f"fdt{n}a", f"fdt{n}b"
        self.here, self.there = f"10.98.{n}.1", f"10.98.{n}.2"
        self.here6, self.there6 = f"fd98:{n:x}::1", f"fd98:{n:x}::2"
        run("ip", "netns", "add", self.name)
        try:
            self._wire()
        except BaseException:
            self.close()
            raise

    def _wire(self):
        with network_namespace(self.name):
            without_dad("default")
        run("ip", "link", "add", self.dev, "type", "veth", "peer", "name", self.peer, "netns", self.name)
        without_dad(self.dev)
        for prefix, dev, v4, v6 in ((), self.dev, self.here, self.here6), (("-n", self.name), self.peer, self.there, self.there6):
            run("ip", *prefix, "addr", "add", f"{v4}/24", "dev", dev)
            run("ip", *prefix, "addr", "add", f"{v6}/64", "dev", dev, "nodad")
            run("ip", *prefix, "link", "set", dev, "up")
        run("ip", "-n", self.name, "link", "set", "lo", "up")
        wait_for(lambda: "tentative" not in run("ip", "-6", "addr", "show", "dev", self.dev), "IPv6 addresses")
        self.ifindex = int(pathlib.Path(f"/sys/class/net/{self.dev}/ifindex").read_text())

    def inside(self, *argv, **kwargs):
        """A process inside the namespace."""
        return subprocess.Popen(["ip", "netns", "exec", self.name, *map(str, argv)], **kwargs)

    def ping(self, address, count=1, size=56, interval=0.005):
        """How many of `count` echo requests were answered."""
        out = run("ping", "-n", "-q", "-c", count, "-i", interval, "-W", 1, "-s", size, address, check=False)
        return int(re.search(r"(\d+) received", out).group(1))

    def close(self):
        run("ip", "link", "del", self.dev, check=False)
        run("ip", "netns", "del", self.name, check=False)


@functools.cache
def why_no_netem():
    """Asked of the kernel, in a namespace that is gone with the question. None: it has netem."""
    script = "ip link set lo up && tc qdisc add dev lo root netem delay 1ms"
    done = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, text=True)
    return None if done.returncode == 0 else "the kernel has no netem"


def _listed(kind):
    """bpftool asks for one after the other, and ends with an error when one that it has heard of is gone meanwhile."""
    for attempt in itertools.count():
        text = run("bpftool", "-j", kind, "show", check=attempt > 50)
        with contextlib.suppress(ValueError):
            objects = json.loads(text or "[]")
            if isinstance(objects, list) and all("id" in o for o in objects):
                return objects


def bpf_objects():
    """Ids of all programs, links and maps (beside other tests: of our own), with their kinds: read by bpftool,
    independently of faultd."""
    listed = {kind: _listed(kind) for kind in ("prog", "link", "map")}
    pinned = []
    if shards.inside():
        listed, pinned = shards.own_objects(listed)
    return {kind: sorted((o["id"], o.get("type", ""), o.get("name", "")) for o in objects)
            for kind, objects in listed.items()} | {"pin": pinned}


def tc_state(dev):
    """All that tc knows about one interface, without counters."""
    state = [run("tc", "qdisc", "show", "dev", dev)]
    for side in ("ingress", "egress"):
        state.append(run("tc", "filter", "show", "dev", dev, side, check=False))
    return state


_libc = ctypes.CDLL(None, use_errno=True)
_SYS_BPF = {"x86_64": 321}.get(platform.machine(), 280)
_BPF_PROG_QUERY, _TCX_INGRESS, _TCX_EGRESS = 16, 46, 47


def tcx_programs(ifindex):
    """How many programs hang on the TCX hooks of an interface; 0 where the kernel has none (before 6.6)."""
    total = 0
    for hook in _TCX_INGRESS, _TCX_EGRESS:
        ids = (ctypes.c_uint32 * 64)()
        # target_ifindex, attach_type, query_flags, attach_flags, prog_ids, count; the rest is zero
        attr = ctypes.create_string_buffer(struct.pack("IIIIQI", ifindex, hook, 0, 0, ctypes.addressof(ids), 64), 120)
        if _libc.syscall(_SYS_BPF, _BPF_PROG_QUERY, attr, 120) == 0:
            total += struct.unpack_from("I", attr.raw, 24)[0]
    return total


def fault_cgroups():
    """Of all tests, or beside other tests our own: tests put their process id into the names."""
    found = [f"{top}/{d}" for top, below, _ in os.walk("/sys/fs/cgroup") for d in below if "fault" in d]
    own = re.compile(rf"(?<!\d){os.getpid()}(?!\d)")
    return sorted(d for d in found if not shards.inside() or own.search(d))


class HostState:
    """What a fault may have changed, dumped. Compare two with ==; diff() says what differs."""

    def __init__(self, devices=(), pids=(), directories=()):
        self.parts = {
            "tc": {d: tc_state(d) for d in devices},
            "bpf": bpf_objects(),
            "processes": {p: (s[0] if s[0] in "TtZ" else "alive", s[2]) if (s := proc_stat(p)) else None for p in pids},
            "workers": processes_named("faultd-load"),
            "shapers": sorted(p.name for p in pathlib.Path("/sys/class/net").glob("faultd[-_]*")),
            "cgroups": fault_cgroups(),
            "files": {str(d): sorted(str(p) for p in pathlib.Path(d).rglob("*")) for d in directories},
        }

    def __eq__(self, other):
        return self.parts == other.parts

    def diff(self, other):
        return {k: (self.parts[k], other.parts[k]) for k in self.parts if self.parts[k] != other.parts[k]}


def assert_put_back(before, dump, timeout=PATIENCE):
    """Waits until the host is as before; the last difference is the failure."""
    last = {}

    def same():
        reap_orphans()
        now = dump()
        last["diff"] = before.diff(now)
        return now == before

    try:
        wait_for(same, "the host as it was before", timeout, 0.02)
    except AssertionError:
        raise AssertionError(f"not put back: {last['diff']}") from None
