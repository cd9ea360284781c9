# SPDX-License-Identifier: Apache-2.0
"""Experiments under whatever comes, in random order: starts, stops, the lever, reloads, templates that are changed and
deleted while they run, faults that are stopped by hand, and faultd killed. Whatever came, the host is as it was
before, every experiment has come to an end, and the store, the lists and the logs agree about it."""

import contextlib
import itertools
import os
import random
import signal
import subprocess
import time
import zlib

import pytest
from lib.harness import PATIENCE, Faultd, HostState, assert_put_back, state_of, wait_for

ROLE = "arn:aws:iam::000000000000:role/faultd"
OVER = ("completed", "stopped", "failed", "cancelled")
ACTION_OVER = (*OVER, "skipped")
SECONDS = float(os.environ.get("FAULTD_RANDOM_SECONDS", "12"))
_tokens = itertools.count()


class Driver:
    def __init__(self, directory, seed):
        self.chance = random.Random(seed)
        self.victims = [subprocess.Popen(["sleep", "600.25"]) for _ in range(3)]
        self.d = Faultd(directory, env={"FAULTD_CLOCK_SPEED": "600"}, config={"fis": {"tags": {"a": "b"}, "maxKeptExperiments": 20000}})
        self.templates = []
        self.experiments = {}  # id: template id
        self.begun = {}
        self.refused = {}
        self.streams = []
        self.moves = [(self.create, 3), (self.begin, 12), (self.stop, 5), (self.lever, 1), (self.reload, 1),
                      (self.delete, 1), (self.update, 1), (self.tag, 1), (self.stop_fault, 2), (self.recover, 1),
                      (self.look, 4), (self.follow, 2), (self.leave, 1), (self.replace_victim, 1), (self.kill, 1)]

    def call(self, method, path, body=None):
        status, answer = self.d.request(method, path, body)
        assert status in (200, 402, 404, 409), (method, path, status, answer)
        if status != 200:
            self.refused[status] = self.refused.get(status, 0) + 1
        return answer if status == 200 else None

    def token(self):
        return f"token-{next(_tokens)}"

    def action(self):
        victim = str(self.chance.choice(self.victims).pid)
        target = {"targets": {"Processes": "Victims"}}
        duration = self.chance.choice(["100ms", "300ms", "2s"])
        return self.chance.choice([
            lambda: {"actionId": "aws:fis:wait", "parameters": {"duration": "PT1M"}},
            lambda: {"actionId": "host:process-pause", "parameters": {"duration": duration, "pid": victim}},
            lambda: {"actionId": "host:process-pause", "parameters": {"duration": duration}, **target},
            lambda: {"actionId": "host:process-pause", "parameters": {"duration": duration, "pid": "1"}},
            lambda: {"actionId": "host:cpu-stress", "parameters": {"duration": duration, "percent": "2", "cpus": "1"}},
            lambda: {"actionId": "aws:ssm:send-command", "targets": {"Instances": "Host"},
                     "parameters": {"documentArn": "arn:aws:ssm:us-east-1::document/AWSFIS-Run-CPU-Stress",
                                    "documentParameters": '{"DurationSeconds": "1", "LoadPercent": "1", "CPU": "1"}',
                                    "duration": "PT1M"}},
        ])()

    def body(self):
        names = [f"a{i}" for i in range(self.chance.randint(1, 6))]
        actions = {}
        for i, name in enumerate(names):
            actions[name] = self.action()
            after = [other for other in names[:i] if self.chance.random() < 0.3]
            if after:
                actions[name]["startAfter"] = after
        used = {t for a in actions.values() for t in a.get("targets", {}).values()}
        targets = {"Victims": {"resourceType": "host:process", "parameters": {"pattern": "^sleep 600.25$"},
                               "selectionMode": self.chance.choice(["ALL", "COUNT(1)", "PERCENT(1)"])},
                   "Host": {"resourceType": "aws:ec2:instance", "selectionMode": "ALL",
                            "filters": [{"path": "State.Name", "values": ["running"]}]}}
        condition = self.chance.choice([{"source": "none"}] * 3 + [
            {"source": "host:metric", "value": "metric=load1 above=100000 period=100ms"},
            {"source": "host:metric", "value": "metric=load1 below=100000 period=100ms"}])
        return {"clientToken": self.token(), "description": "random", "roleArn": ROLE, "actions": actions,
                "targets": {n: t for n, t in targets.items() if n in used}, "stopConditions": [condition],
                "experimentOptions": {"emptyTargetResolutionMode": self.chance.choice(["fail", "skip"])}}

    # Moves

    def create(self):
        answer = self.call("POST", "/experimentTemplates", self.body())
        if answer:
            self.templates.append(answer["experimentTemplate"]["id"])

    def begin(self):
        if not self.templates:
            return
        for _ in range(self.chance.choice([1, 1, 2, 6])):
            t = self.chance.choice(self.templates)
            mode = self.chance.choice(["run-all"] * 5 + ["skip-all"])
            answer = self.call("POST", "/experiments", {"clientToken": self.token(), "experimentTemplateId": t,
                                                        "experimentOptions": {"actionsMode": mode}})
            if answer:
                self.experiments[answer["experiment"]["id"]] = t
                self.begun[answer["experiment"]["id"]] = time.monotonic()

    def any_experiment(self):
        return self.chance.choice(list(self.experiments)[-8:]) if self.experiments else "EXPnone"

    def stop(self):
        self.call("DELETE", f"/experiments/{self.any_experiment()}")

    def lever(self):
        for status in ("engaged", "disengaged"):
            self.call("PATCH", "/safetyLevers/default/state", {"state": {"status": status, "reason": "at random"}})
            if status == "engaged":
                self.begin()
                assert self.open_faults() == []

    def reload(self):
        os.kill(self.d.pid, signal.SIGHUP)

    def delete(self):
        if len(self.templates) > 3:
            t = self.templates.pop(self.chance.randrange(len(self.templates)))
            self.call("DELETE", f"/experimentTemplates/{t}")

    def update(self):
        if self.templates:
            body = self.body()
            del body["clientToken"]
            self.call("PATCH", f"/experimentTemplates/{self.chance.choice(self.templates)}", body)

    def tag(self):
        arn = f"arn:aws:fis:us-east-1:000000000000:experiment/{self.any_experiment()}"
        self.call("POST", f"/tags/{arn}", {"tags": {"k": str(self.chance.random())}})

    def open_faults(self):
        return [f for f in self.d.get("/v1/faults")[1]["faults"] if f["state"] not in ("done", "failed")]

    def stop_fault(self):
        faults = self.open_faults()
        if faults:
            status, _ = self.d.request("DELETE", f"/v1/faults/{self.chance.choice(faults)['id']}")
            assert status == 200

    def recover(self):
        status, _ = self.d.request("POST", "/v1/recover")
        assert status == 200
        assert self.open_faults() == []

    def look(self):
        x = self.any_experiment()
        for path in (f"/experiments/{x}", f"/experiments/{x}/resolvedTargets", "/experiments", "/experimentTemplates",
                     "/safetyLevers/default"):
            self.call("GET", path)

    def follow(self):
        if len(self.streams) < 5:
            self.streams.append(self.d.stream("GET", f"/v1/experiments/{self.any_experiment()}/log?follow=true"))

    def leave(self):
        if self.streams:
            self.streams.pop(self.chance.randrange(len(self.streams))).close()

    def replace_victim(self):
        i = self.chance.randrange(len(self.victims))
        self.victims[i].kill()
        self.victims[i].wait()
        self.victims[i] = subprocess.Popen(["sleep", "600.25"])

    def kill(self):
        """SIGKILL or SIGTERM, at any moment, and a new one."""
        for s in self.streams:
            s.close()
        self.streams = []
        os.kill(self.d.pid, self.chance.choice([signal.SIGKILL, signal.SIGTERM]))
        status = self.d.process.wait(PATIENCE)
        assert status in (0, -signal.SIGKILL), self.d.log()[-4000:]
        killed = time.monotonic()
        self.d.start()
        known = {e["id"] for e in self.listed()}
        for x in [x for x in self.experiments if x not in known]:
            # It was answered before the disk had it.
            assert killed - self.begun.pop(x) < 2, x
            del self.experiments[x]
        live = [e for e in self.listed() if e["state"]["status"] not in OVER]
        assert live == []

    # What has to be true

    def listed(self):
        found, more = [], ""
        while True:
            answer = self.call("GET", f"/experiments?maxResults=100{more}")
            found += answer["experiments"]
            if "nextToken" not in answer:
                return found
            more = f"&nextToken={answer['nextToken']}"

    def check(self, x):
        e = self.call("GET", f"/experiments/{x}")["experiment"]
        states = {name: a["state"]["status"] for name, a in e["actions"].items()}
        status = e["state"]["status"]
        assert status in OVER, e
        assert all(s in ACTION_OVER for s in states.values()), e
        assert ("error" in e["state"]) == (status == "failed"), e
        if status == "completed":
            assert all(s in ("completed", "skipped") for s in states.values()), e
        for a in e["actions"].values():
            for other in a.get("startAfter", []):
                if a["state"]["status"] in ("completed", "stopped", "failed"):
                    assert a["startTime"] >= e["actions"][other]["endTime"], e

    def run(self, seconds):
        todo = [move for move, n in self.moves for _ in range(n)]
        until = time.monotonic() + seconds
        for _ in range(3):
            self.create()
        while time.monotonic() < until:
            self.chance.choice(todo)()
            time.sleep(self.chance.choice([0, 0, 0.01, 0.05]))

    def finish(self):
        for x in self.experiments:
            self.call("DELETE", f"/experiments/{x}")
        listed = wait_for(lambda: (es := self.listed()) and all(e["state"]["status"] in OVER for e in es) and es,
                          "every experiment is over")
        assert {e["id"] for e in listed} >= set(self.experiments)
        for x in self.experiments:
            self.check(x)
        wait_for(lambda: self.open_faults() == [], "no document's fault goes on")
        assert all(state_of(v.pid) != "T" for v in self.victims)
        for x in list(self.experiments)[-20:]:
            stream = self.d.stream("GET", f"/v1/experiments/{x}/log?follow=true")
            kinds = [line["log_type"] for line in iter(stream.line, None)]
            stream.close()
            assert kinds.count("experiment-end") == 1 and kinds[-1] == "experiment-end", (x, kinds)

    def close(self):
        for s in self.streams:
            with contextlib.suppress(OSError):
                s.close()
        self.d.close()
        for v in self.victims:
            v.kill()
            v.wait()


def chosen_seed():
    """Another one each time, and the same for all that run side by side: they have to know the same tests."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(random.SystemRandom().random())
    return os.environ.get("FAULTD_RANDOM_SEED") or str(zlib.crc32(run.encode()) % 10**6)


@pytest.mark.parametrize("seed", [chosen_seed()])
def test_random(tmp_path, alone, seed):
    """The seed is in the test's name: FAULTD_RANDOM_SEED gives it again."""
    driver = Driver(tmp_path / "faultd", int(seed))
    try:
        before = HostState(pids=[v.pid for v in driver.victims])
        pids = [v.pid for v in driver.victims]
        driver.run(SECONDS)
        driver.finish()
        assert driver.d.stop() == 0, driver.d.log()[-4000:]
        if pids == [v.pid for v in driver.victims]:
            assert_put_back(before, lambda: HostState(pids=pids))
        assert "Sanitizer" not in driver.d.log()
        print(f"seed {seed}: {len(driver.experiments)} experiments, refused {driver.refused}")
    finally:
        driver.close()
