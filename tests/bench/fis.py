#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast is FIS's API with as many templates as FIS allows, while five experiments run?

500 templates of 20 actions; 5 experiments at once. Measured by a client on the Unix socket, over one connection that is kept
open: get and list (a page of 100, and of 1), create, and StartExperiment until the fault of its first action is active: until
its victim, a process of the bench's own, is stopped in fact. Memory: the proportional share (PSS) of faultd. Milliseconds.
Needs root for the faults."""

import argparse
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import common

AIM_MS = {"get": 2, "list": 2, "start to first action": 20}  # p99
ROLE = "arn:aws:iam::000000000000:role/faultd"
RUNNING = 5
ACTIONS = 20


def template(n, **members):
    actions = {f"wait-{i:02}": {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1H"},
                                **({"startAfter": [f"wait-{i - 1:02}"]} if i % 2 else {})} for i in range(ACTIONS)}
    return {"clientToken": f"template-{n}", "description": f"template {n}", "roleArn": ROLE, "tags": {"Name": f"t{n}"},
            "stopConditions": [{"source": "none"}], "actions": actions, **members}


def pss_kb(pid):
    return int(re.search(r"^Pss: +(\d+) kB", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)[1])


def timed(api, request, expect=200):
    start = time.perf_counter_ns()
    status, answer = api.exchange(request)
    elapsed = (time.perf_counter_ns() - start) / 1e6
    if status != expect:
        raise RuntimeError(f"{status}: {answer}")
    return elapsed, answer


def must(api, method, path, body=None):
    return timed(api, api.prepare(method, path, body))[1]


def create(api, n, **members):
    elapsed, answer = timed(api, api.prepare("POST", "/experimentTemplates", template(n, **members)))
    return elapsed, answer["experimentTemplate"]["id"]


def start(api, template_id, n):
    return api.prepare("POST", "/experiments", {"clientToken": f"start-{n}", "experimentTemplateId": template_id})


def wait_status(api, experiment_id, *wanted):
    while True:
        state = must(api, "GET", f"/experiments/{experiment_id}")["experiment"]["state"]
        if state["status"] in wanted:
            return
        if state["status"] == "failed":
            raise RuntimeError(state)
        time.sleep(0.001)


def is_stopped(victim):
    stat = pathlib.Path(f"/proc/{victim}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def begin_to_fault(api, victim, rounds):
    """From the request until its first action's victim is stopped; each experiment is ended before the next."""
    pause = {"Pause": {"actionId": "host:process-pause", "parameters": {"duration": "60s", "pid": str(victim)}}}
    template_id = create(api, "pause", actions=pause)[1]
    answered, active = [], []
    for i in range(rounds):
        request = start(api, template_id, f"pause-{i}")
        begun = time.perf_counter_ns()
        elapsed, answer = timed(api, request)
        while not is_stopped(victim):
            pass
        active.append((time.perf_counter_ns() - begun) / 1e6)
        answered.append(elapsed)
        must(api, "DELETE", f"/experiments/{answer['experiment']['id']}")
        wait_status(api, answer["experiment"]["id"], "stopped")
    return answered, active


def reads(api, templates, experiments, rounds):
    """Each kind in turn, so that what disturbs the machine disturbs them all."""
    paths = {"get a template": lambda i: f"/experimentTemplates/{templates[i * 37 % len(templates)]}",
             "get an experiment": lambda i: f"/experiments/{experiments[i % len(experiments)]}",
             "list a page of 1 template": lambda i: "/experimentTemplates?maxResults=1",
             "list a page of 100 templates": lambda i: "/experimentTemplates",
             "list experiments": lambda i: "/experiments", "list actions": lambda i: "/actions"}
    figures = {name: [] for name in paths}
    for i in range(rounds):
        for name, path in paths.items():
            figures[name].append(timed(api, api.prepare("GET", path(i)))[0])
    return figures


def last_page(api, rounds):
    """The fifth hundred of the templates."""
    token = ""
    for _ in range(4):
        token = must(api, "GET", "/experimentTemplates" + (f"?nextToken={token}" if token else ""))["nextToken"]
    return [timed(api, api.prepare("GET", f"/experimentTemplates?nextToken={token}"))[0] for _ in range(rounds)]


def bench(harness, options, directory):
    config = {"fis": {"metadata": "off", "maxActiveExperiments": RUNNING + 1, "maxTemplates": options.templates + 8}}
    daemon = harness.Faultd(directory / "faultd", "--log-level", "info", config=config)
    victim = subprocess.Popen(["sleep", "3600"])
    figures, memory = {}, {"at the start": pss_kb(daemon.pid)}
    try:
        with common.Api(daemon.socket) as api:
            made = [create(api, i) for i in range(options.templates)]
            figures["create a template"] = [elapsed for elapsed, _ in made]
            templates = [i for _, i in made]
            memory[f"{options.templates} templates"] = pss_kb(daemon.pid)
            experiments = [timed(api, start(api, templates[i], i))[1]["experiment"]["id"] for i in range(RUNNING)]
            for x in experiments:
                wait_status(api, x, "running")
            figures |= reads(api, templates, experiments, options.rounds)
            figures["list the last page of 100"] = last_page(api, options.rounds)
            figures["start: answered"], figures["start to first action's fault"] = begin_to_fault(api, victim.pid, options.starts)
            memory["and experiments"] = pss_kb(daemon.pid)
            for x in experiments:
                must(api, "DELETE", f"/experiments/{x}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            victim.kill()
        victim.wait()
        daemon.close()
    return {"figures": {k: common.summary(v) for k, v in figures.items()}, "pss_kb": memory}


def aim_of(name):
    return next((aim for begins, aim in AIM_MS.items() if name.startswith(begins)), None)


def markdown(result):
    lines = ["| | n | p50 ms | p99 ms | most ms | aim of p99 |", "|---|---|---|---|---|---|"]
    for name, s in result["figures"].items():
        aim = aim_of(name)
        lines.append(f"| {name} | {s['n']} | {s['p50']:.2f} | {s['p99']:.2f} | {s['max']:.2f} | {f'under {aim}' if aim else ''} |")
    lines.append("\nPSS of faultd: " + ", ".join(f"{kb} kB {when}" for when, kb in result["pss_kb"].items()))
    missed = [name for name, s in result["figures"].items() if (aim := aim_of(name)) and s["p99"] >= aim]
    lines.append(f"\nmissed: {', '.join(missed)}" if missed else "\nall aims are met")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=common.default_build(), help="build directory")
    parser.add_argument("--templates", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=500, help="of each kind of reading")
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("--disk", type=pathlib.Path, help="directory for faultd's state (else a tmpfs)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    if options.templates < 450 or options.rounds < 10 or options.starts < 1:
        parser.error("--templates: 450 or more; --rounds: 10 or more; --starts: 1 or more")
    common.refuse_unless(os.geteuid() == 0, "needs root")
    harness = common.harness_of(options.build)
    if common.is_sanitized(harness.FAULTD):
        print("WARNING: a build with sanitizers; the figures say little", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=options.disk or common.memory_directory()) as directory, common.alone():
        busy = common.busy_percent()
        result = bench(harness, options, pathlib.Path(directory))
    if options.json:
        json.dump({"busy_percent": busy, **result}, sys.stdout, indent=1)
        print()
        return
    if busy >= common.IDLE_PERCENT:
        print(f"WARNING: without us the host was {busy:.0f} % busy; p99 and max are partly its own\n")
    print(markdown(result))


if __name__ == "__main__":
    main()
