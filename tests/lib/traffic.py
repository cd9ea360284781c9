# SPDX-License-Identifier: Apache-2.0
"""Packets between network namespaces, numbered and time-stamped, and what became of them.

Knows nothing of faultd. One thread sends and receives all flows, so that one flow is measured at the same time as
another; CLOCK_MONOTONIC is the same in all namespaces of a machine, so that the way in one direction has a time of its
own. Every run is bounded in packets and time.
"""

import bisect
import collections
import math
import os
import pathlib
import select
import socket
import struct
import time

from lib import harness

V4, V6 = socket.AF_INET, socket.AF_INET6
SO_RCVBUFFORCE = 33
SOL_RAW, ICMP_FILTER, ICMP6_FILTER = 255, 1, 1
ETH_P_ALL = 0x0003
ERROR = 1e-6  # how often a bound may be missed by chance alone
BURST = 32    # packets at once, when no pace is asked for: less than any queue of the kernel holds
PROBE = 0xFFFFFFFF
HEADER = struct.Struct("!IIq")  # flow, number, when sent

Endpoint = collections.namedtuple("Endpoint", "namespace address")  # namespace None: where we are


def ends(network, direction="egress", family=V4):
    """(sender, receiver) of what leaves (egress) or reaches (ingress) the interface of a harness.Network here."""
    here = Endpoint(None, network.here if family == V4 else network.here6)
    there = Endpoint(network.name, network.there if family == V4 else network.there6)
    return (here, there) if direction == "egress" else (there, here)


def make_socket(namespace, *kind):
    if namespace is None:
        return socket.socket(*kind)
    with harness.network_namespace(namespace):
        return socket.socket(*kind)


class Result:
    """Of one flow and one run. Times are in ms; `delays` are of first copies, in the order of sending."""

    def __init__(self, sent, arrivals, wrong, size):
        self.sent = len(sent)
        self.wrong = wrong  # payloads that are not what was sent
        self.size = size
        self.arrivals = arrivals  # (number, ns) in the order of arrival
        first = {}
        for number, when in arrivals:
            first.setdefault(number, when)
        self.numbers = sorted(first)
        self.delays = [(first[n] - sent[n]) / 1e6 for n in self.numbers]
        self.received = len(first)
        self.lost = self.sent - self.received
        self.duplicates = len(arrivals) - len(first)

    @property
    def reordered(self):
        """First copies that came after one that was sent later."""
        late, highest, seen = 0, -1, set()
        for number, _ in self.arrivals:
            late += number < highest and number not in seen
            highest = max(highest, number)
            seen.add(number)
        return late

    def fate(self):
        """For each packet in order: did it arrive?"""
        there = set(self.numbers)
        return [n in there for n in range(self.sent)]

    def lost_runs(self):
        """Lengths of the runs of packets lost one after another that began and ended within the flow."""
        runs, length = [], None
        for arrived in self.fate():
            if not arrived:
                length = length + 1 if length is not None else None
            else:
                if length:
                    runs.append(length)
                length = 0
        return runs

    def bytes_per_second(self, overhead, skip=0.5):
        """What arrived, with `overhead` bytes of headers a packet, from `skip` s after the first to the last."""
        start = self.arrivals[0][1] + int(skip * 1e9)
        times = [when for _, when in self.arrivals if when >= start]
        assert len(times) > 10, f"only {len(times)} packets"
        return (len(times) - 1) * (self.size + overhead) / ((times[-1] - times[0]) / 1e9)


class Flow:
    """Packets of one kind from one endpoint to another. What it sends while `measure()` runs is its result."""

    made = 0

    def __init__(self, sender, receiver, size=64):
        Flow.made += 1
        self.id = os.getpid() << 12 & 0xFFFFF000 | Flow.made & 0xFFF
        self.family = V6 if ":" in receiver.address else V4
        self.sender, self.receiver, self.size = sender, receiver, size
        self.filler = bytes((self.id + i * 7) & 0xFF for i in range(size - HEADER.size))
        self.restart()

    def restart(self):
        self.sent, self.arrivals, self.wrong, self.probed, self.seen = [], [], 0, False, set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.tx.close()
        self.rx.close()

    def send(self):
        now = time.monotonic_ns()
        self.transmit(HEADER.pack(self.id, len(self.sent), now) + self.filler)
        self.sent.append(now)

    def took(self, payload, now):
        """A packet that arrived."""
        flow, number, when = HEADER.unpack_from(payload) if len(payload) >= HEADER.size else (None, 0, 0)
        if flow == self.id and number == PROBE:
            self.probed = True
        elif flow != self.id or number >= len(self.sent) or self.sent[number] != when or payload[HEADER.size:] != self.filler:
            self.wrong += 1
        else:
            self.arrivals.append((number, now))
            self.seen.add(number)

    def receive(self):
        """Takes all that is there."""
        while True:
            try:
                data = self.rx.recv(65536)
            except BlockingIOError:
                return
            self.unwrap(data, time.monotonic_ns())

    def unwrap(self, data, now):
        self.took(data, now)

    def probe(self):
        """The neighbours know each other when one packet has come through."""
        def through():
            self.transmit(HEADER.pack(self.id, PROBE, 0) + self.filler)
            time.sleep(0.002)
            self.receive()
            return self.probed

        harness.wait_for(through, f"{type(self).__name__} reaches {self.receiver.address}", pause=0.01)
        return self

    def result(self):
        result = Result(self.sent, self.arrivals, self.wrong, self.size)
        self.restart()
        return result


class Udp(Flow):
    def __init__(self, sender, receiver, port=0, source_port=0, size=64, probe=True):
        super().__init__(sender, receiver, size)
        self.rx = make_socket(receiver.namespace, self.family, socket.SOCK_DGRAM)
        self.tx = make_socket(sender.namespace, self.family, socket.SOCK_DGRAM)
        self.rx.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        for s, end, p in ((self.rx, receiver, port), (self.tx, sender, source_port)):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((end.address, p))
            s.setblocking(False)
        self.port, self.source_port = self.rx.getsockname()[1], self.tx.getsockname()[1]
        self.tx.connect((receiver.address, self.port))
        if probe:
            self.probe()

    def transmit(self, payload):
        try:
            self.tx.send(payload)
        except (ConnectionRefusedError, BlockingIOError):  # an ICMP error of before; a full queue: it is lost
            pass


class Icmp(Flow):
    """Echo requests, as the receiver's kernel gets them; what it answers is let go."""

    def __init__(self, sender, receiver, size=64, probe=True):
        super().__init__(sender, receiver, size)
        protocol = socket.IPPROTO_ICMP if self.family == V4 else socket.IPPROTO_ICMPV6
        self.rx = make_socket(receiver.namespace, self.family, socket.SOCK_RAW, protocol)
        self.tx = make_socket(sender.namespace, self.family, socket.SOCK_RAW, protocol)
        self.request = 8 if self.family == V4 else 128
        self.filter(self.tx, None)
        self.filter(self.rx, self.request)
        self.rx.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        self.rx.bind((receiver.address, 0))
        self.tx.bind((sender.address, 0))
        for s in (self.rx, self.tx):
            s.setblocking(False)
        if probe:
            self.probe()

    def filter(self, s, only):
        """The types that the socket does not get, a bit for each."""
        if self.family == V4:
            s.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("I", 0xFFFFFFFF & ~(1 << only if only is not None else 0)))
        else:
            words = [0xFFFFFFFF] * 8
            if only is not None:
                words[only >> 5] &= ~(1 << (only & 31))
            s.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, struct.pack("8I", *words))

    def transmit(self, payload):
        head = struct.pack("!BBHHH", self.request, 0, 0, self.id & 0xFFFF, len(self.sent) & 0xFFFF)
        if self.family == V4:  # the kernel fills in that of IPv6
            head = head[:2] + struct.pack("!H", checksum(head + payload)) + head[4:]
        self.tx.sendto(head + payload, (self.receiver.address, 0))

    def unwrap(self, data, now):
        packet = data[(data[0] & 15) * 4:] if self.family == V4 else data
        if struct.unpack_from("!H", packet, 4)[0] == self.id & 0xFFFF:
            self.took(packet[8:], now)


class Tcp(Flow):
    """Messages over one connection. What is lost is sent again by TCP, so all arrive in order, some of them late."""

    def __init__(self, sender, receiver, port=0, source_port=0, size=64):
        super().__init__(sender, receiver, size)
        self.rest, self.waiting = b"", b""
        with make_socket(receiver.namespace, self.family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((receiver.address, port))
            listener.listen(8)
            listener.settimeout(harness.PATIENCE)
            self.port = listener.getsockname()[1]
            self.tx = make_socket(sender.namespace, self.family, socket.SOCK_STREAM)
            self.tx.settimeout(harness.PATIENCE)
            self.tx.bind((sender.address, source_port))
            self.tx.connect((receiver.address, self.port))
            self.rx = listener.accept()[0]
        self.source_port = self.tx.getsockname()[1]
        self.tx.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for s in (self.rx, self.tx):
            s.setblocking(False)

    def transmit(self, payload):
        self.waiting += payload
        self.push()

    def push(self):
        try:
            while self.waiting:
                self.waiting = self.waiting[self.tx.send(self.waiting):]
        except BlockingIOError:
            pass

    def receive(self):
        self.push()
        super().receive()

    def unwrap(self, data, now):
        data = self.rest + data
        whole = len(data) // self.size * self.size
        for at in range(0, whole, self.size):
            self.took(data[at:at + self.size], now)
        self.rest = data[whole:]


KINDS = {"udp": Udp, "tcp": Tcp, "icmp": Icmp}


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def measure(*flows, packets, every=0.0, linger=1.0, meanwhile=None, limit=120.0):
    """Every flow sends `packets` at the same pace, `every` s or as fast as they are taken. Ends when all have arrived or
    none came for `linger` s. `meanwhile(i)` is called before the i-th is sent. A list of results."""
    for flow in flows:
        flow.receive()
        flow.restart()
    start = time.monotonic()
    for i in range(packets):
        if meanwhile:
            meanwhile(i)
        if every:
            _receive_until(flows, start + i * every)
        elif i % BURST == 0:
            _receive_until(flows, 0)
        for flow in flows:
            flow.send()
        if time.monotonic() - start > limit:
            raise AssertionError(f"{i} packets of {packets} in {limit:g} s")
    _collect(flows, linger)
    return [flow.result() for flow in flows]


def _receive_until(flows, when):
    """Takes what arrives, at least once."""
    while True:
        rest = when - time.monotonic()
        ready = select.select([f.rx for f in flows], [], [], max(rest, 0))[0]
        for flow in flows:
            if flow.rx in ready:
                flow.receive()
            elif isinstance(flow, Tcp):
                flow.push()
        if rest <= 0:
            return


def _collect(flows, linger):
    def arrived():
        return sum(len(f.arrivals) for f in flows)

    until, count = time.monotonic() + linger, arrived()
    while time.monotonic() < until and any(len(f.seen) < len(f.sent) for f in flows):
        _receive_until(flows, time.monotonic() + 0.005)
        if arrived() > count:
            until, count = time.monotonic() + linger, arrived()
    _receive_until(flows, time.monotonic() + 0.02)  # a second copy of the last


def bulk(sender, receiver, seconds, port=0, limit=1 << 30):
    """As much as TCP carries in one connection, at most `limit` bytes. [(seconds, bytes so far)] as they arrived."""
    block = bytes(65536)
    with Tcp(sender, receiver, port) as flow:
        start, total, samples, left = time.monotonic(), 0, [], limit
        while (now := time.monotonic() - start) < seconds:
            readable, writable, _ = select.select([flow.rx], [flow.tx] if left > 0 else [], [], seconds - now)
            if writable:
                left -= flow.tx.send(block)
            if readable:
                got = len(flow.rx.recv(1 << 20))
                total += got
                samples.append((time.monotonic() - start, total))
                if got == 0 or total >= limit:
                    break
    return samples


def rate(samples, burst=0):
    """Bytes per second from the first arrival to the last, without the `burst` that a bucket lets through at once. What
    TCP holds back at the end, because one segment before is missing, makes it a little less than it was."""
    return (samples[-1][1] - samples[0][1] - burst) / (samples[-1][0] - samples[0][0])


class Tap:
    """Counts frames of one length that an interface gets, before a checksum is looked at, or that it has `sent`."""

    def __init__(self, namespace, device, length, sent=False):
        self.length, self.sent = length, sent
        self.socket = make_socket(namespace, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.socket.bind((device, ETH_P_ALL))
        self.socket.setblocking(False)

    def frames(self):
        """How many since the last call."""
        n = 0
        while True:
            try:
                data, (_, _, kind, _, _) = self.socket.recvfrom(65536)
            except BlockingIOError:
                return n
            n += len(data) == self.length and (kind == socket.PACKET_OUTGOING) == self.sent

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


# Statistics


def binomial_bounds(n, p, error=ERROR):
    """(least, most): a binomial variable is below, or above, with a probability of at most error/2 each."""
    if p <= 0 or p >= 1:
        return (0, 0) if p <= 0 else (n, n)

    def probability(k):
        return math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) +
                        k * math.log(p) + (n - k) * math.log1p(-p))

    def end_of_tail(towards, mean):
        """The tails are summed from where nothing is left of them."""
        k = min(max(int(mean), 0), n)
        spread = 12 * math.sqrt(n * p * (1 - p)) + 40
        k = int(min(max(mean + towards * spread, 0), n))
        tail = 0.0
        while True:
            tail += probability(k)
            if tail > error / 2:
                return k
            k -= towards

    return end_of_tail(-1, n * p), end_of_tail(1, n * p)


def assert_binomial(count, n, percent, what, slack=0):
    """`count` of n, each by that chance alone; `slack` more or less for what the measuring itself cannot tell."""
    least, most = binomial_bounds(n, percent / 100)
    assert least - slack <= count <= most + slack, f"{what}: {count} of {n}, expected {least} to {most} at {percent} %"


def transitions(fate):
    """((losses after an arrival, arrivals), (losses after a loss, losses)), of neighbours in the order of sending."""
    after = {True: [0, 0], False: [0, 0]}
    for before, now in zip(fate, fate[1:]):
        after[before][0] += not now
        after[before][1] += 1
    return tuple(after[True]), tuple(after[False])


def mean(values):
    return math.fsum(values) / len(values)


def deviation(values):
    m = mean(values)
    return math.sqrt(math.fsum((v - m) ** 2 for v in values) / (len(values) - 1))


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)]


def median(values):
    return quantile(values, 0.5)


def skewness(values):
    m, s = mean(values), deviation(values)
    return mean([((v - m) / s) ** 3 for v in values])


def autocorrelation(values):
    """Of each value with the next one."""
    m = mean(values)
    return math.fsum((a - m) * (b - m) for a, b in zip(values, values[1:])) / math.fsum((v - m) ** 2 for v in values)


def distance(values, cdf):
    """Kolmogorov's: the greatest difference between what share lies below x, and what should."""
    ordered, n = sorted(values), len(values)
    return max(max((i + 1) / n - cdf(x), cdf(x) - i / n) for i, x in enumerate(ordered))


def distance_bound(n, error=ERROR):
    """Of the Kolmogorov distance of n values by chance alone (Dvoretzky, Kiefer, Wolfowitz)."""
    return math.sqrt(math.log(2 / error) / (2 * n))


def uniform_cdf(x):
    return min(max((x + 1) / 2, 0), 1)


def normal_cdf(x):
    return (1 + math.erf(x / math.sqrt(2))) / 2


def pareto_cdf(x):
    """iproute2's: of shape 3, moved to mean 0 and cut off at 4."""
    return 0 if x <= -2 / 3 else 1 if x >= 4 else 1 - (1.5 + 0.75 * x) ** -3


def table_cdf(name):
    """Of the table that tc hands to netem by that name; None when it is not installed."""
    for directory in (*pathlib.Path("/usr/lib").glob("*/tc"), "/usr/lib/tc", "/usr/lib64/tc", "/usr/share/tc"):
        path = pathlib.Path(directory) / f"{name}.dist"
        if path.exists():
            lines = (line.partition("#")[0] for line in path.read_text().splitlines())
            table = sorted(int(x) / 8192 for line in lines for x in line.split())
            return lambda x: bisect.bisect_right(table, x) / len(table)
    return None


def cdf_of(distribution):
    """In units of the jitter around the delay; what tc itself would do, where it is installed."""
    known = {"uniform": uniform_cdf, "normal": normal_cdf, "pareto": pareto_cdf}
    return known.get(distribution) or table_cdf(distribution)
