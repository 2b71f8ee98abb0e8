"""Loads the two files of the protocol suite, runs them and counts.

Run by `run`, by the interpreter chosen there: this is Python 2.7 and Python 3.
Usage: runner.py CHECKOUT DEPENDENCIES SERVER_LOG
"""
from __future__ import print_function

import io
import os
import signal
import sys
import threading
import traceback
import types

PYTHON3 = sys.version_info[0] > 2
FILES = [('sockjs-protocol.py', 68), ('http-quirks.py', 1)]
EXPECTED = sum(count for _, count in FILES)

# No test of the suite takes more than a few seconds. But some wait for ever if
# the server does not answer, or does not end a chunked body.
TEST_SECONDS = 15

checkout, dependencies, server_log = sys.argv[1:]
# For the suite's own imports. Python 3 does not look into the checkout: what
# the suite imports from there has to be converted.
sys.path[1:1] = [dependencies] if PYTHON3 else [checkout, dependencies]

# The WebSocket library would use a proxy, which the rest of the suite does not.
for name in list(os.environ):
    if name.lower() in ('http_proxy', 'https_proxy', 'all_proxy'):
        del os.environ[name]

if PYTHON3:
    import unittest
    from python3 import convert, modules, suite_globals
else:
    import unittest2 as unittest

    def suite_globals(name):
        return {'__name__': name}

    def convert(source):
        return source


def load(filename):
    """A module with what the file defines, without writing a .pyc anywhere."""
    path = os.path.join(checkout, filename)
    with io.open(path, encoding='ascii') as file:
        source = convert(file.read())
    module = types.ModuleType(filename[:-len('.py')])
    sys.modules[module.__name__] = module  # or Python 2 empties it again
    module.__dict__.update(suite_globals(module.__name__))
    # The path is for tracebacks. dont_inherit: print is not a function there.
    exec(compile(source, path, 'exec', 0, True), module.__dict__)
    # On a node of a cluster, the sessions are below a segment of the endpoint.
    below = os.environ.get('SOCKJS_BELOW')
    if below:
        for name in [name for name in module.__dict__ if name.endswith('base_url')]:
            module.__dict__[name] += '/' + below
    return module


class Overtime(Exception):
    pass


class Result(unittest.TestResult):
    """Prints what fails when it fails, and limits the time of each test."""
    passed = 0

    def startTest(self, test):
        unittest.TestResult.startTest(self, test)
        # The signal makes the test fail where it hangs. It comes repeatedly,
        # as a test may wait again while it cleans up.
        signal.setitimer(signal.ITIMER_REAL, TEST_SECONDS, TEST_SECONDS)
        # Python 2 cannot be interrupted while it waits for a thread.
        self.last_resort = threading.Timer(3 * TEST_SECONDS, give_up, [test.id()])
        self.last_resort.daemon = True
        self.last_resort.start()

    def stopTest(self, test):
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.last_resort.cancel()
        unittest.TestResult.stopTest(self, test)

    def addSuccess(self, test):
        unittest.TestResult.addSuccess(self, test)
        self.passed += 1

    def addFailure(self, test, err):
        unittest.TestResult.addFailure(self, test, err)
        print_failure(test.id(), self.failures[-1][1])

    def addError(self, test, err):
        unittest.TestResult.addError(self, test, err)
        print_failure(test.id(), self.errors[-1][1])


def print_failure(test_id, text):
    # It may quote any byte the server sent.
    text = ''.join(c if c == '\n' or ' ' <= c <= '~' else '\\x%02x' % ord(c) for c in text)
    print('\nFAILED %s\n%s' % (test_id, text))


def overtime(*_):
    raise Overtime('the test is not done after %d seconds' % TEST_SECONDS)


def give_up(test_id):
    print_failure(test_id, 'The test cannot be ended: giving up.\n')
    finish()


def finish():
    # Whatever is not a success is a failure, also what did not run.
    failed = EXPECTED - result.passed
    if failed:
        with io.open(server_log, encoding='utf-8', errors='replace') as file:
            lines = file.readlines()[-50:]
        if lines:
            print('The last lines the server wrote to stderr:\n%s' % ''.join(lines))
    print('%d passed, %d failed' % (result.passed, failed))
    sys.stdout.flush()
    # Not sys.exit: no thread of the suite may keep us here, or have the last word.
    os._exit(1 if failed else 0)


suite = unittest.TestSuite()
try:
    if PYTHON3:
        modules['utils'] = load('utils.py')
    for filename, expected in FILES:
        tests = unittest.defaultTestLoader.loadTestsFromModule(load(filename))
        if tests.countTestCases() != expected:
            sys.exit('error: %s has %d tests, expected are %d'
                     % (filename, tests.countTestCases(), expected))
        suite.addTest(tests)
except Exception:
    traceback.print_exc()
    sys.exit('error: the suite cannot be loaded')

result = Result()
signal.signal(signal.SIGALRM, overtime)
suite.run(result)
finish()
