# SPDX-License-Identifier: Apache-2.0
"""Who may know whom: the includes of agent/ against the one direction of knowledge, the one home of every
library, headers that stand alone, and no shell."""

import os
import pathlib
import re
import shlex
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
AGENT = ROOT / "agent"
SOURCES = sorted(p.relative_to(AGENT).as_posix() for p in AGENT.rglob("*.[ch]"))
HEADERS = [s for s in SOURCES if s.endswith(".h")]

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.M)
COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/|("(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')', re.S)

# A room may include headers of itself, of those named here, and the contracts in include/faultd/.
RIGHT_OF = {
    "util": [],
    "plan": ["util"],
    "host": ["util"],
    "steps": ["util", "plan", "host"],
    "actions": ["util", "plan", "host", "steps"],
    "fault": ["util", "plan", "host", "steps", "actions"],
    "cloud": ["util"],
    "experiment": ["util", "plan", "host", "steps", "actions", "fault", "cloud"],
    "api": ["util", "plan", "host", "steps", "actions", "fault", "experiment"],
    "channel": ["util", "plan", "host", "steps", "actions", "fault", "experiment"],
    "daemon": ["util", "plan", "host", "steps", "actions", "fault", "cloud", "experiment", "api", "channel"],
    "guardian": ["util", "plan", "steps"],
    "load": ["util"],
    "ctl": ["util"],
}

# All that the guardian may see, directly or through other headers.
GUARDIAN_SEES = re.compile(r"guardian/.*|util/.*|plan/(journal|netem|step|values)\.h|steps/replay\.h")

# Written by the build, and who alone includes them.
GENERATED = {"classify.skel.h": "steps/classifier.c", "actions_list.h": "actions/action.c"}

# Library -> (what its headers look like, what its names look like, where it may be).
LIBRARIES = {
    "cJSON": (
        r"cjson/|cJSON",
        r"\bcJSON",
        r"plan/(schema|json_read|request|policy|peers|access\w*|fis_settings)\.[ch]|actions/action\.[ch]"
        r"|(fault|cloud|experiment|api|channel|ctl)/.*",
    ),
    "libmicrohttpd": (r"microhttpd", r"\bMHD_", r"api/http\.c"),
    "libbpf": (r"bpf/", r"\b(libbpf_|bpf_(object|program|map|link|tc|prog)__)\w+", r"steps/classifier\.c"),
    "libuv": (r"uv(\.h|/)", r"\buv_", r"(fault|cloud|api|channel|experiment)/.*|(daemon|main)\.[ch]"),
    "systemd": (
        r"systemd/",
        r"\bsd_(notify|listen|journal|booted|watchdog|is_|bus_)\w*\(",
        r"(daemon|listen|journald)\.c|host/units\.c",
    ),
    "curl": (r"curl/", r"\bcurl_", r"ctl/.*|cloud/fetch\.c"),
    "libcrypto": (r"openssl/", r"\b(EVP|HMAC|SHA256|CRYPTO)_\w+", r"api/sigv4\.c"),
    "SQLite": (r"sqlite3", r"\bsqlite3_", r"experiment/database\.c"),
    "mosquitto": (r"mosquitto", r"\bmosquitto_", r"channel/mqtt\.c"),
}


@pytest.fixture(autouse=True)
def alone():
    """These tests read files only: they need not wait for others."""


def text_of(source):
    return (AGENT / source).read_text()


def code_of(source):
    """Without comments and the insides of strings."""
    return COMMENT.sub(lambda m: '""' if m.group(1) else " ", text_of(source))


def includes_of(source):
    """The (quoted, bracketed) includes."""
    found = INCLUDE.findall(text_of(source))
    return [q for q, _ in found if q], [b for _, b in found if b]


def room_of(source):
    room, slash, _ = source.partition("/")
    if slash:
        return room
    return "main" if source == "main.c" else "daemon"


def reachable(source):
    """All headers of agent/ that compiling `source` reads."""
    seen, left = set(), [source]
    while left:
        for name in includes_of(left.pop())[0]:
            if name in SOURCES and name not in seen:
                seen.add(name)
                left.append(name)
    return seen


def test_there_is_something_to_check():
    assert len(SOURCES) > 50
    assert "util/str.h" in HEADERS
    assert {room_of(s) for s in SOURCES} <= set(RIGHT_OF) | {"main"}


@pytest.mark.parametrize("source", SOURCES)
def test_includes_exist(source):
    """A quoted include is a path from agent/, a contract, or written by the build: never relative."""
    for name in includes_of(source)[0]:
        if name in GENERATED:
            assert GENERATED[name] == source, f"{source} includes {name}"
        elif name.startswith("faultd/"):
            assert (ROOT / "include" / name).exists(), f"{source} includes {name}"
        else:
            assert name in HEADERS, f"{source} includes {name}"


@pytest.mark.parametrize("source", SOURCES)
def test_direction_of_knowledge(source):
    room = room_of(source)
    if room == "main":
        return
    allowed = {room, *RIGHT_OF[room]}
    for name in includes_of(source)[0]:
        if name in HEADERS:
            assert room_of(name) in allowed, f"{source} includes {name}: {room} may not know {room_of(name)}"


def test_no_room_knows_the_other_programs():
    for source in SOURCES:
        for name in includes_of(source)[0]:
            if room_of(name) in ("guardian", "load", "ctl") and "/" in name:
                assert room_of(source) == room_of(name), f"{source} includes {name}"


def test_headers_have_no_circles():
    for header in HEADERS:
        assert header not in reachable(header), f"{header} includes itself in the end"


@pytest.mark.parametrize("source", [s for s in SOURCES if room_of(s) == "guardian"])
def test_guardian_sees_only_journal_and_replay(source):
    for name in sorted(reachable(source)):
        assert GUARDIAN_SEES.fullmatch(name), f"{source} sees {name}"


@pytest.mark.parametrize("library", LIBRARIES)
def test_library_has_one_home(library):
    header, names, home = (re.compile(p) for p in LIBRARIES[library])
    for source in SOURCES:
        if home.fullmatch(source):
            continue
        for name in includes_of(source)[1]:
            assert not header.match(name), f"{source} includes <{name}>"
        used = names.search(code_of(source))
        assert not used, f"{source} uses {used.group()}"


@pytest.mark.parametrize("source", SOURCES)
def test_no_shell(source):
    used = re.search(r"\b(system|popen|wordexp)\s*\(", code_of(source))
    assert not used, f"{source} calls {used.group()}"


@pytest.mark.parametrize("room", ["plan"])
def test_pure_rooms_ask_nobody(room):
    """No loop, no clock, no kernel: nothing to open, to wait for, or to ask."""
    asks = re.compile(
        r"\b(open|openat|fopen|socket|read|write|ioctl|fork|clock_gettime|boot_ns|clock_ns|time|getpid|kill|getenv|rand)\s*\("
    )
    for source in SOURCES:
        if room_of(source) == room:
            used = asks.search(code_of(source))
            assert not used, f"{source} calls {used.group()}"


def compiler():
    return shlex.split(os.environ.get("CC", "cc"))


def flags_of_libraries():
    out = subprocess.run(
        ["pkg-config", "--cflags", "libcjson", "libuv", "libmicrohttpd", "libcurl"], capture_output=True, text=True
    )
    return shlex.split(out.stdout)


@pytest.mark.parametrize("header", HEADERS)
def test_header_stands_alone(header):
    """It compiles as the first thing in a file, and a second time."""
    run = subprocess.run(
        [
            *compiler(), "-fsyntax-only", "-x", "c", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE",
            "-DFAULTD_CRASH_POINTS=0", '-DFAULTD_VERSION="0"', '-DFAULTD_LIBEXECDIR="/"',
            "-Wno-unused-parameter", f"-I{ROOT / 'include'}", f"-I{AGENT}", *flags_of_libraries(), "-",
        ],
        input=f'#include "{header}"\n#include "{header}"\n', capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("source", SOURCES)
def test_license(source):
    assert text_of(source).startswith("/* SPDX-License-Identifier: Apache-2.0 */"), source


@pytest.mark.parametrize("header", HEADERS)
def test_guard(header):
    guard = "FAULTD_" + re.sub(r"[/.]", "_", header).upper()
    text = text_of(header)
    assert f"#ifndef {guard}\n#define {guard}\n" in text, f"{header}: the guard is not {guard}"
