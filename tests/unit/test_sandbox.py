# SPDX-License-Identifier: Apache-2.0
"""What the units allow, against what the code asks the kernel for: workers live under the filters of faultd.service."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
AGENT = ROOT / "agent"

# Unit -> the rooms whose code runs in it.
ROOMS = {
    "faultd.service.in": ["util", "host", "steps", "fault", "api", "load", "."],
    "faultd-guardian.service.in": ["util", "guardian"],
}


@pytest.fixture(autouse=True)
def alone():
    """These tests read files only: they need not wait for others."""


def settings(unit):
    """The last value of each setting."""
    lines = (ROOT / "units" / unit).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and line[0] not in "#[")


def code(unit):
    return "\n".join(f.read_text() for room in ROOMS[unit] for f in sorted((AGENT / room).glob("*.c")))


@pytest.mark.parametrize("unit", ROOMS)
def test_address_families(unit):
    calls = re.findall(r"\bsocket\(([^;]*?)SOCK_|\bsocket\(([^;]*?)->type", code(unit))
    used = set(re.findall(r"\bAF_\w+", " ".join(a + b for a, b in calls)))
    assert "AF_UNIX" in used
    assert used <= set(settings(unit)["RestrictAddressFamilies"].split()), "a socket() of the code is refused"


@pytest.mark.parametrize("unit", ROOMS)
def test_locked_memory(unit):
    """What is locked is not counted against the 8 MiB that systemd gives by default."""
    assert re.search(r"\bmlock", code(unit))
    assert settings(unit).get("LimitMEMLOCK") == "infinity"


@pytest.mark.parametrize("unit", ROOMS)
def test_namespaces(unit):
    """Both enter network namespaces, whose files are other users' processes' to show."""
    entered = set(re.findall(r"\b(?:setns|unshare)\([^;]*?CLONE_NEW(\w+)\)", code(unit)))
    assert "NET" in entered
    allowed = settings(unit).get("RestrictNamespaces", "").lower().split()
    assert not allowed or {n.lower() for n in entered} <= set(allowed), "setns() of the code is refused"
    assert {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE"} <= set(settings(unit)["CapabilityBoundingSet"].split())
