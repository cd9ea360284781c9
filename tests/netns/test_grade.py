# SPDX-License-Identifier: Apache-2.0
"""Ramps and waves that faultd drives itself, seen from outside: packets that pass, programs that are attached."""

import time

import pytest
from lib.harness import HostState, assert_put_back, bpf_objects, wait_for

pytestmark = pytest.mark.usefixtures("root")


def passes(network):
    return network.ping(network.there, count=3, interval=0.01) == 3


def is_lost(network):
    return network.ping(network.there, count=2, interval=0.01) == 0


def test_ramp(faultd, network):
    """From nothing to everything in two steps; stopped half-way or at the end, the host is as it was."""
    before = HostState([network.dev])
    fault = faultd.start_fault("network-loss", interface=network.dev, to=100, **{"from": 0}, over="4s", steps=1)
    since = time.monotonic()
    assert passes(network)
    wait_for(lambda: is_lost(network), "the ramp reaches 100 %")
    assert time.monotonic() - since > 2  # the step is not taken early
    assert "in 1 step over 4s" in fault["description"]
    faultd.stop_fault(fault)
    assert passes(network)
    assert_put_back(before, lambda: HostState([network.dev]))


def test_waves(faultd, network):
    """On and off, three times; off means that nothing is attached, and the journal stays until the end."""
    before = HostState([network.dev])
    quiet = bpf_objects()
    fault = faultd.start_fault("network-loss", interface=network.dev, percent=100, every="2s", **{"for": "1s"})
    for _ in range(3):
        wait_for(lambda: is_lost(network), "a wave comes")
        wait_for(lambda: bpf_objects() == quiet and passes(network), "a wave goes")
        assert faultd.show(fault)["state"] == "active" and faultd.journals()
    assert faultd.stop_fault(fault)["state"] == "done"
    assert_put_back(before, lambda: HostState([network.dev]))


def test_figures_of_all_waves(faultd, network):
    """What the waves before have dropped stays in the figures, between two waves and at the end."""
    fault = faultd.start_fault("network-loss", interface=network.dev, percent=100, every="2s", **{"for": "1s"})
    before = 0
    for _ in range(2):
        wait_for(lambda: is_lost(network), "a wave comes")
        wait_for(lambda: passes(network), "a wave goes")
        wait_for(lambda: faultd.show(fault)["steps"][0]["state"] == "undone", "it is off")
        dropped = faultd.figures(fault)["dropped"]
        assert dropped >= before + 2, (before, dropped)
        before = dropped
    ended = faultd.stop_fault(fault)
    assert {f["name"]: f["value"] for f in ended["figures"]}["dropped"] >= before


@pytest.mark.parametrize("phase", ["on", "off"])
def test_killed_in_a_wave(faultd, network, phase):
    """Whether a wave is on or off when faultd dies: nothing stays, and no packet is lost any more."""
    before = HostState([network.dev])
    faultd.start_fault("network-loss", interface=network.dev, percent=100, every="2s", **{"for": "1s"})
    wait_for(lambda: is_lost(network), "a wave comes")
    if phase == "off":
        wait_for(lambda: passes(network), "a wave goes")
    faultd.kill()
    assert_put_back(before, lambda: HostState([network.dev]))
    assert passes(network)
    wait_for(lambda: not faultd.journals(), "the journal is gone")


@pytest.mark.parametrize("parameters, field, allowed", [
    ({"from": 10}, "parameters.over", "a duration such as 5m"),
    ({"to": 10}, "parameters.over", "a duration such as 5m"),
    ({"over": "1m", "to": 101}, "parameters.to", "0.001 to 100"),
    ({"over": "1m", "from": 101}, "parameters.from", "0 to 100"),
    ({"over": "1m", "steps": 0}, "parameters.steps", "1 to 1000"),
    ({"every": "5s"}, "parameters.for", "both"),
    ({"for": "5s"}, "parameters.every", "both"),
    ({"every": "5s", "for": "5s"}, "parameters.for", "less than 5s"),
    ({"every": "500ms", "for": "100ms"}, "parameters.every", "1s to 12h"),
    ({"over": "1m", "from": "much"}, "parameters.from", "a number"),
])
def test_refused(faultd, network, parameters, field, allowed):
    status, answer = faultd.fault("network-loss", parameters={"interface": network.dev, **parameters})
    assert status == 400 and answer["field"] == field and allowed in answer["allowed"], answer
    assert faultd.get("/v1/faults")[1]["faults"] == []
