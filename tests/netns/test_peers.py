# SPDX-License-Identifier: Apache-2.0
"""Peers by name: hosts, sets, what is spared. faultd has an /etc of its own in a private mount namespace, and its
only name server would be in the test's network namespace: no question leaves the machine."""

import contextlib
import json
import os
import shutil
import signal
import socket
import threading
import time

import pytest

from lib import harness
from lib.harness import HostState, HTTPConnection, assert_put_back, network_namespace, run, tc_state, wait_for

pytestmark = pytest.mark.usefixtures("root")

V4, V6 = socket.AF_INET, socket.AF_INET6
IN_A_NEW_ETC = 'mount --bind "$0" /etc && exec "$@"'


class Etc:
    """A directory that is faultd's /etc."""

    def __init__(self, directory, server):
        self.path = directory
        directory.mkdir()
        for name in ("passwd", "group", "ld.so.cache", "ld.so.conf", "protocols", "services"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(f"/etc/{name}", directory / name)
        (directory / "host.conf").write_text("multi on\n")
        (directory / "nsswitch.conf").write_text("hosts: files dns\npasswd: files\ngroup: files\n")
        # Longer than any test waits: who waits for the resolver is found out.
        (directory / "resolv.conf").write_text(f"nameserver {server}\noptions timeout:30 attempts:3\n")
        (directory / "faultd").mkdir()
        self.hosts()

    def hosts(self, **names):
        """Replaces the file: whoever reads it sees the one or the other."""
        lines = [f"{a} {n.replace('_', '.')}\n" for n, addresses in names.items() for a in addresses]
        (self.path / "hosts.new").write_text("127.0.0.1 localhost\n" + "".join(lines))
        os.rename(self.path / "hosts.new", self.path / "hosts")

    def sets(self, content):
        text = content if isinstance(content, str) else json.dumps(content)
        (self.path / "faultd" / "networks.json").write_text(text)

    def prefix(self):
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", IN_A_NEW_ETC, self.path]


class World:
    """Hosts .2 to .5 of both families behind the veth; UDP reaches them unless a fault is in the way."""

    def __init__(self, network):
        self.network, self.dev = network, network.dev
        self.v4 = {n: network.there[:-1] + str(n) for n in range(2, 6)}
        self.v6 = {n: network.there6[:-1] + str(n) for n in range(2, 6)}
        for n in range(3, 6):
            run("ip", "-n", network.name, "addr", "add", f"{self.v4[n]}/24", "dev", network.peer)
            run("ip", "-n", network.name, "addr", "add", f"{self.v6[n]}/64", "dev", network.peer, "nodad")
        self.there = {}
        for address in [*self.v4.values(), *self.v6.values()]:
            with network_namespace(network.name):
                self.there[address] = socket.socket(V6 if ":" in address else V4, socket.SOCK_DGRAM)
                self.there[address].bind((address, 0))
                self.there[address].settimeout(0.3)
        self.sender = {V4: socket.socket(V4, socket.SOCK_DGRAM), V6: socket.socket(V6, socket.SOCK_DGRAM)}
        for address in self.there:
            wait_for(lambda a=address: self.reaches(a), f"{address} reached")

    def send(self, address):
        self.sender[V6 if ":" in address else V4].sendto(b"x" * 32, self.there[address].getsockname())

    def received(self, address):
        """How many have arrived and were not counted before."""
        n, s = 0, self.there[address]
        s.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while s.recv(100):
                n += 1
        s.settimeout(0.3)
        return n

    def reaches(self, address):
        self.received(address)
        self.send(address)
        try:
            return bool(self.there[address].recv(100))
        except TimeoutError:
            return False

    def reached(self, *addresses):
        return [a for a in addresses if self.reaches(a)]

    def close(self):
        for s in [*self.there.values(), *self.sender.values()]:
            s.close()


@pytest.fixture
def world(network):
    w = World(network)
    yield w
    w.close()


@pytest.fixture
def etc(tmp_path, network):
    return Etc(tmp_path / "etc", network.there)


@contextlib.contextmanager
def running(tmp_path, etc, world, **config):
    before = HostState(devices=[world.dev])
    d = harness.Faultd(tmp_path / "faultd", config=config, prefix=etc.prefix())
    try:
        yield d
        d.request("DELETE", "/v1/faults")
        assert d.journals() == []
        assert_put_back(before, lambda: HostState(devices=[world.dev]))
    finally:
        d.close()


@pytest.fixture(params=["tcx", "clsact"])
def d(request, tmp_path, etc, world):
    with running(tmp_path, etc, world, classifierHook=request.param) as d:
        yield d


@pytest.fixture
def one(tmp_path, etc, world):
    with running(tmp_path, etc, world) as d:
        yield d


def hole(d, world, **parameters):
    return d.start_fault("network-blackhole", "60s", interface=world.dev, direction="egress", **parameters)


def refused(d, world, field, *words, status=400, **parameters):
    was = tc_state(world.dev)
    got, answer = d.fault("network-blackhole", "60s", interface=world.dev, **parameters)
    assert (got, answer["field"]) == (status, field), answer
    assert all(w in answer["message"] for w in words), answer
    assert tc_state(world.dev) == was and d.journals() == []
    return answer


def test_hosts_by_name(d, etc, world):
    v4, v6 = world.v4, world.v6
    etc.hosts(api_test=[v4[2], v6[2]], db_test=[v4[3]])
    fault = hole(d, world, peers="api.test")
    assert world.reached(v4[2], v6[2], v4[3], v6[3]) == [v4[3], v6[3]]
    assert fault["parameters"]["peers"] == ["api.test"]
    d.stop_fault(fault)
    assert world.reached(v4[2], v6[2]) == [v4[2], v6[2]]
    fault = hole(d, world, excludePeers=f"db.test,{v6[4]}", peers=f"api.test,ALL,{v4[5]}")
    assert world.reached(v4[2], v6[2], v4[3], v6[3], v4[4], v6[4], v4[5]) == [v4[3], v6[4]]
    d.stop_fault(fault)
    status, planned = d.fault("network-blackhole", interface=world.dev, peers="api.test", dryRun=True)
    assert status == 200 and v4[2] in json.dumps(planned["steps"]) and v6[2] in json.dumps(planned["steps"])


def test_sets(one, etc, world):
    d, v4, v6 = one, world.v4, world.v6
    refused(d, world, "parameters.peers", "S3", "no file defines", "/etc/faultd/networks.json", peers="S3")
    refused(d, world, "parameters.excludePeers", "use1-az1", excludePeers="use1-az1")
    etc.sets({"S3": [f"{v4[2]}/32", v6[2]], "mine": [v4[4]], "api.test": [v4[5]]})
    etc.hosts(api_test=[v4[3]])  # a set comes before a host
    fault = hole(d, world, peers="S3,api.test", excludePeers="mine")
    assert world.reached(v4[2], v6[2], v4[3], v4[4], v4[5]) == [v4[3], v4[4]]
    d.stop_fault(fault)
    for bad, word in (("{", "JSON"), ({"S3": ["10.0.0.0/33"]}, "S3"), ({"x": "::1"}, "x")):
        etc.sets(bad)
        status, answer = d.fault("network-blackhole", interface=world.dev, peers="S3")
        assert status == 409 and word in answer["message"], answer
        assert "/etc/faultd/networks.json" in answer["message"], answer
        assert d.fault("network-blackhole", interface=world.dev, peers="10.0.0.1", dryRun=True)[0] == 200


def test_names_that_mean_nothing(one, etc, world):
    etc.hosts(api_test=[world.v4[2]])
    # Nobody listens there, and the kernel says so at once.
    refused(one, world, "parameters.peers", "gone.test", "does not resolve", peers="api.test,gone.test")
    refused(one, world, "parameters.excludePeers", "gone.test", "does not resolve", excludePeers="gone.test")
    refused(one, world, "parameters.peers", "10.0.0.256", "names of hosts", peers="10.0.0.256")


class Stream:
    """Sends to one address without a pause until it is told to stop."""

    def __init__(self, world, address):
        self.sent, self.over = 0, False
        self.thread = threading.Thread(target=self.run, args=(world, address))
        self.thread.start()

    def run(self, world, address):
        while not self.over:
            world.send(address)
            self.sent += 1
            time.sleep(0.0005)

    def stop(self):
        self.over = True
        self.thread.join()
        return self.sent


def notes_of(d, fault):
    return " | ".join(d.show(fault)["notes"])


def test_a_name_that_changes(d, etc, world):
    v4, v6 = world.v4, world.v6
    etc.hosts(api_test=[v4[2]], db_test=[v4[5]])
    fault = hole(d, world, peers="api.test,db.test", resolveEvery="1s")
    assert world.reached(v4[2], v4[3], v6[2], v4[5]) == [v4[3], v6[2]]
    world.received(v4[5])
    stream = Stream(world, v4[5])
    try:
        etc.hosts(api_test=[v4[3], v6[2]], db_test=[v4[5]])
        wait_for(lambda: world.reached(v4[3], v6[2]) == [], "the new addresses are cut off")
        assert v4[3] in notes_of(d, fault) and f"was {v4[2]}" in notes_of(d, fault)
        wait_for(lambda: world.reaches(v4[2]), "the old address is let be after some answers", 30)
        assert world.reached(v4[3], v6[2], v4[4]) == [v4[4]]
        etc.hosts(api_test=[v4[4]], db_test=[v4[5]])
        wait_for(lambda: not world.reaches(v4[4]), "once more")
        wait_for(lambda: world.reached(v4[3], v6[2]) == [v4[3], v6[2]], "once more, the old ones", 30)
    finally:
        sent = stream.stop()
    assert sent > 100 and world.received(v4[5]) == 0  # it was matched all the time
    assert d.figures(fault)["dropped"] >= sent  # in all slots together
    ended = d.stop_fault(fault)
    assert ended["state"] == "done" and world.reached(*v4.values()) == list(v4.values())
    assert {f["name"]: f["value"] for f in ended["figures"]}["dropped"] >= sent


def test_a_name_that_vanishes(one, etc, world):
    d, v4 = one, world.v4
    etc.hosts(api_test=[v4[5]], db_test=[v4[3]])
    fault = hole(d, world, peers="api.test,db.test", resolveEvery="1s")
    etc.hosts(db_test=[v4[4]])
    wait_for(lambda: not world.reaches(v4[4]), "the one that changed")
    wait_for(lambda: world.reaches(v4[3]), "its old address is let be", 30)
    assert not world.reaches(v4[5])  # what does not resolve stays what it was
    assert notes_of(d, fault).count("api.test does not resolve") == 1, notes_of(d, fault)
    d.stop_fault(fault)


def test_with_a_ramp_and_waves(one, etc, world):
    d, v4 = one, world.v4
    etc.hosts(api_test=[v4[2]])
    ramp = d.start_fault("network-loss", "60s", interface=world.dev, peers="api.test", resolveEvery="1s",
                         percent=100, **{"from": 1, "over": "8s", "steps": 40})
    etc.hosts(api_test=[v4[3]])
    wait_for(lambda: f"is now {v4[2]},{v4[3]}" in notes_of(d, ramp), "the new address")
    wait_for(lambda: not any(world.reaches(v4[3]) for _ in range(5)), "the ramp's end", 30)
    assert d.show(ramp)["state"] == "active" and world.reaches(v4[4])
    d.stop_fault(ramp)
    etc.hosts(api_test=[v4[2]])
    waves = d.start_fault("network-loss", "60s", interface=world.dev, peers="api.test", resolveEvery="1s", percent=100,
                          **{"every": "2s", "for": "1s"})
    wait_for(lambda: not world.reaches(v4[2]), "a wave")
    etc.hosts(api_test=[v4[4]])
    wait_for(lambda: not world.reaches(v4[4]), "a wave, the new address")
    wait_for(lambda: world.reaches(v4[4]), "between two waves")
    wait_for(lambda: not world.reaches(v4[4]), "the next wave")
    assert d.show(waves)["state"] == "active"
    d.stop_fault(waves)


@contextlib.contextmanager
def mute_server(world):
    """A name server that hears everything and says nothing."""
    with network_namespace(world.network.name):
        s = socket.socket(V4, socket.SOCK_DGRAM)
        s.bind((world.network.there, 53))
    with contextlib.closing(s):
        s.settimeout(harness.PATIENCE)
        yield s


def asked(server):
    return server.recv(1000)


def test_a_slow_resolver(one, etc, world):
    d, v4 = one, world.v4
    etc.hosts(api_test=[v4[2]])
    answers = {}

    def ask(key, names):
        answers[key] = d.fault("network-blackhole", "60s", interface=world.dev, peers=names)

    with mute_server(world) as server:
        names = ",".join(f"n{i}.test" for i in range(16))
        threads = [threading.Thread(target=ask, args=a) for a in (("many", names), ("one", "api.test,slow.test"))]
        for t in threads:
            t.start()
        asked(server)
        slowest, turns = 0.0, 0
        while any(t.is_alive() for t in threads):
            began = time.monotonic()
            assert d.get("/v1/status")[0] == 200
            slowest, turns = max(slowest, time.monotonic() - began), turns + 1
            time.sleep(0.02)
        assert turns > 10 and slowest < 3, (turns, slowest)  # blocked, it would be 5 s or more
        for key, name in (("many", "n0.test"), ("one", "slow.test")):
            status, answer = answers[key]
            assert (status, answer["field"], answer["value"]) == (400, "parameters.peers", name), answer
            assert "no answer within 5 s" in answer["message"]
        assert world.reaches(v4[2]) and d.journals() == []


def test_known_names_beside_a_slow_resolver(one, etc, world):
    d, v4 = one, world.v4
    etc.hosts(api_test=[v4[2]])
    with mute_server(world) as server:
        slow = HTTPConnection(d.socket)
        slow.request("POST", "/v1/faults", json.dumps({"action": "network-blackhole", "duration": "60s", "parameters": {
            "interface": world.dev, "peers": "slow.test"}}))
        asked(server)
        fault = hole(d, world, peers="api.test")
        assert not world.reaches(v4[2])
        assert slow.getresponse().status == 400
        slow.close()
        d.stop_fault(fault)


@pytest.mark.parametrize("attach", [False, True])
def test_a_client_that_leaves_meanwhile(one, etc, world, attach):
    d = one
    with mute_server(world) as server:
        c = HTTPConnection(d.socket)
        c.request("POST", "/v1/faults", json.dumps({"action": "network-blackhole", "duration": "60s", "attach": attach,
                                                    "parameters": {"interface": world.dev, "peers": "slow.test"}}))
        asked(server)
        c.close()
    etc.hosts(slow_test=[world.v4[2]])
    refused(d, world, "parameters.peers", "gone.test", peers="gone.test")
    assert d.get("/v1/faults")[1]["faults"] == [] and world.reaches(world.v4[2])


def test_the_end_while_resolving(one, world):
    d = one
    with mute_server(world) as server:
        c = HTTPConnection(d.socket)
        c.request("POST", "/v1/faults", json.dumps({"action": "network-blackhole", "duration": "60s", "parameters": {
            "interface": world.dev, "peers": "a.test,b.test"}}))
        asked(server)
        d.process.send_signal(signal.SIGTERM)
        assert d.process.wait(harness.PATIENCE) == 0  # the resolver takes 90 s
        c.close()
        d.start()


def test_the_end_while_resolving_again(one, etc, world):
    d, v4 = one, world.v4
    etc.hosts(api_test=[v4[3]])  # the name server itself, .2, must be reached
    hole(d, world, peers="api.test", resolveEvery="1s")
    with mute_server(world) as server:
        etc.hosts()
        asked(server)
        assert not world.reaches(v4[3])
        d.process.send_signal(signal.SIGTERM)
        assert d.process.wait(harness.PATIENCE) == 0
        assert world.reaches(v4[3])
        d.start()


def test_what_is_spared(tmp_path, etc, world):
    v4, v6 = world.v4, world.v6
    etc.hosts(broker_test=[v4[2], v6[2]], api_test=[v4[2]])
    with running(tmp_path, etc, world, networkSpared=["broker.test", f"{v4[4]}/31"]) as d:
        fault = hole(d, world)
        assert world.reached(*v4.values(), *v6.values()) == [v4[2], v4[4], v4[5], v6[2]]
        d.stop_fault(fault)
        refused(d, world, "parameters.peers", "is spared", "allowLockout", v4[2], peers="api.test")
        refused(d, world, "parameters.peers", "is spared", "allowLockout", peers=v4[5])
        refused(d, world, "parameters.peers", "is spared (metadata)", peers="169.254.169.254")
        refused(d, world, "parameters.peers", "is spared (metadata)", peers="fd00:ec2::254")
        fault = hole(d, world, peers=f"api.test,{v4[5]}", allowLockout=True)
        assert world.reached(*v4.values()) == [v4[3], v4[4]]
        d.stop_fault(fault)
        # A name that comes to mean what is spared takes nothing with it.
        etc.hosts(broker_test=[v4[2]], api_test=[v4[3]])
        fault = hole(d, world, peers="api.test", resolveEvery="1s")
        etc.hosts(broker_test=[v4[2]], api_test=[v4[2], v6[3]])
        wait_for(lambda: not world.reaches(v6[3]), "the new address")
        assert world.reaches(v4[2])
        d.stop_fault(fault)
        etc.hosts()
        status, answer = d.fault("network-blackhole", "60s", interface=world.dev)
        assert status == 409 and "networkSpared" in answer["message"] and "broker.test" in answer["message"], answer
