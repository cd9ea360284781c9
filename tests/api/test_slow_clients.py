# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow on purpose hold nobody up, and are let go."""

import os
import pathlib
import resource
import select
import socket
import statistics
import time

import pytest

from lib.harness import wait_for

N = 1000
LIMIT_S = 10  # for a whole request


@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < N + 200:
        pytest.skip("needs more descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def descriptors(d):
    return len(os.listdir(f"/proc/{d.pid}/fd"))


def request_ms(d, n=15):
    times = []
    for _ in range(n):
        start = time.monotonic()
        assert d.get("/v1/status")[0] == 200
        times.append((time.monotonic() - start) * 1000)
    return statistics.median(times)


def drip(sockets, byte):
    """One more byte on each; those that were closed are left out from now on."""
    living = []
    for s in sockets:
        try:
            s.send(byte)
            living.append(s)
        except OSError:
            s.close()
    return living


def closed_by_peer(sockets):
    poll = select.poll()
    for s in sockets:
        poll.register(s, select.POLLIN)
    return sum(1 for _, events in poll.poll(0) if events & (select.POLLHUP | select.POLLIN))


@pytest.mark.alone
@pytest.mark.parametrize("drips", [False, True])
def test_a_thousand_slow_clients(faultd, many_descriptors, drips):
    def cpu_s():
        f = pathlib.Path(f"/proc/{faultd.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")

    before, fds = request_ms(faultd), descriptors(faultd)
    sockets = [socket.socket(socket.AF_UNIX) for _ in range(N)]
    try:
        for s in sockets:
            s.connect(str(faultd.socket))
            s.setblocking(False)
        opened = time.monotonic()
        wait_for(lambda: descriptors(faultd) >= fds + N, "all accepted")
        if drips:
            request = iter(b"POST /v1/faults HTTP/1.1\r\nHost: a-host-with-a-name-long-enough\r\n")
            living = sockets
            while living and time.monotonic() < opened + 2 * LIMIT_S:
                tick = time.monotonic()
                living = drip(living, bytes([next(request)]))
                if time.monotonic() < opened + LIMIT_S - 3:
                    assert len(living) == N
                    assert request_ms(faultd, 5) < 10 * before + 50
                time.sleep(max(0, tick + 1 - time.monotonic()))
        else:
            used = cpu_s()
            while time.monotonic() < opened + LIMIT_S - 3:
                assert request_ms(faultd) < 10 * before + 50
                time.sleep(0.5)
            assert cpu_s() - used < 3  # they cost nothing while they are silent
            assert closed_by_peer(sockets) == 0
            wait_for(lambda: closed_by_peer(sockets) == N, "all closed", LIMIT_S)
        wait_for(lambda: descriptors(faultd) <= fds + 2, "the descriptors given back", LIMIT_S)
        assert time.monotonic() - opened < 2 * LIMIT_S + 2
    finally:
        for s in sockets:
            s.close()
    assert request_ms(faultd) < 10 * before + 50
    faultd.stop_fault(faultd.start_fault("cpu-stress", percent=1, cpus="0-0"))


def test_more_connections_than_there_is_room_for(faultd, many_descriptors):
    """The surplus waits or is refused; whoever was served before and whoever comes after is served."""
    sockets = []
    try:
        for _ in range(2300):
            s = socket.socket(socket.AF_UNIX)
            s.setblocking(False)
            sockets.append(s)
            try:
                s.connect(str(faultd.socket))
            except BlockingIOError:
                break
        assert faultd.process.poll() is None
    finally:
        for s in sockets:
            s.close()
    wait_for(faultd.is_ready, "served again", LIMIT_S + 5)
    wait_for(lambda: descriptors(faultd) < 100, "the descriptors given back", LIMIT_S + 5)


def test_a_slow_request_that_is_whole_in_time_is_served(faultd):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(str(faultd.socket))
    for byte in b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n":
        s.send(bytes([byte]))
        time.sleep(0.02)
    assert s.recv(100).startswith(b"HTTP/1.1 200")
    s.close()


def test_an_idle_stream_is_no_slow_client(faultd):
    """Who waits for events has no time limit."""
    events = faultd.stream("GET", "/v1/events")
    attached = faultd.attach("cpu-stress", "60s", percent=1, cpus="0-0")
    fault = attached.line()["fault"]
    until = time.monotonic() + LIMIT_S + 3
    while time.monotonic() < until:
        time.sleep(0.5)
    assert faultd.show(fault)["state"] == "active"
    faultd.stop_fault(fault)
    assert attached.until(lambda e: e["event"] == "end")["fault"]["id"] == fault["id"]
    assert events.until(lambda e: e["state"] == "done")["id"] == fault["id"]
    attached.close()
    events.close()


def test_a_client_that_never_reads_its_stream(faultd):
    """Its connection is not fed without bound, and holds up nobody."""
    lazy = faultd.stream("GET", "/v1/events")
    before = int(pathlib.Path(f"/proc/{faultd.pid}/status").read_text().split("VmRSS:")[1].split()[0])
    for _ in range(150):
        faultd.stop_fault(faultd.start_fault("cpu-stress", percent=1, cpus="0-0"))
    after = int(pathlib.Path(f"/proc/{faultd.pid}/status").read_text().split("VmRSS:")[1].split()[0])
    assert after - before < 60 * 1024
    lazy.close()
