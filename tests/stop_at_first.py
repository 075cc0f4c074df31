"""A pytest plugin for drift.py: once a notebook's change was noticed, its later cells need not
run.
"""

import pytest

NOTICED = set()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if item.path in NOTICED:
        item.runtest = lambda: None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        NOTICED.add(item.path)
