# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin: each test is one line in the results of the machine, numbered on from those before.

FAULTD_TAP names the device, FAULTD_TAP_COUNT the file with the number of results so far."""

import os
import pathlib

_count = pathlib.Path(os.environ["FAULTD_TAP_COUNT"])


def _say(line):
    with open(os.environ["FAULTD_TAP"], "a", encoding="utf-8", errors="replace") as tap:
        tap.write(line + "\n")


def _result(ok, report, more=""):
    n = int(_count.read_text()) + 1
    _count.write_text(f"{n}\n")
    _say(f"{'ok' if ok else 'not ok'} {n} - {report.nodeid}{more}")


def _explain(report):
    for line in str(report.longrepr).splitlines()[-60:]:
        _say(f"#   {line}")


def pytest_runtest_logreport(report):
    if report.when == "call":
        if report.skipped:
            _result(True, report, f" # SKIP {_why(report)}")
        else:
            _result(report.passed, report)
            _say(f"# took {report.duration:.1f} s")
    elif report.skipped:
        _result(True, report, f" # SKIP {_why(report)}")
    elif report.failed:  # setting up, or cleaning up after it
        _result(False, report, f" ({report.when})")
    for name, value in report.user_properties if report.when == "teardown" else ():
        _say(f"# measured: {name}: {value}")
    if report.failed:
        _explain(report)


def _why(report):
    return report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""


def pytest_collectreport(report):
    if report.failed:
        _result(False, report, " (collected)")
        _explain(report)
    elif report.skipped:
        _result(True, report, f" # SKIP {_why(report)}")
