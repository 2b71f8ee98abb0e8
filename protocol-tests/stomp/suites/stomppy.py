"""Runs pytest and prints the counts in the form that all the suites here have. Called by ../stomppy-suite."""

import sys

import pytest


class Counts:
    def __init__(self):
        self.failed = set()
        self.passed = set()

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.add(report.nodeid)
        elif report.when == "call" and report.passed:
            self.passed.add(report.nodeid)


counts = Counts()
status = pytest.main(sys.argv[1:], plugins=[counts])
for name in sorted(counts.failed):
    print("FAILED " + name)
print("%d passed, %d failed" % (len(counts.passed - counts.failed), len(counts.failed)), flush=True)
sys.exit(0 if status == 0 and counts.passed else 1)
