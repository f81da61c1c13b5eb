"""Options and checks that all tests share."""

from __future__ import annotations

import asyncio
import signal

import hypothesis
import pytest
from tests import budgets, lanes

# Without this, a request for "the current loop" makes a loop that nobody closes (Python 3.11).
asyncio.set_event_loop(None)
# The machine decides how long an example takes, and how long it takes to make one up.
hypothesis.settings.register_profile(
    "gaovm",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=True,  # a run must not fail by luck; --long makes up other input each time
)
hypothesis.settings.load_profile("gaovm")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regenerate",
        action="store_true",
        help="rewrite golden files and generated documents instead of comparing them",
    )
    parser.addoption(
        "--long", action="store_true", help="make up several times as much input as usual"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put long tests first if workers share the tests; otherwise keep the order."""
    if hasattr(config, "workerinput"):
        lanes.arrange(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With ``--dist loadscope``, let ``lanes`` decide which tests stay together."""
    return lanes.scheduler(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.fixture
def regenerate(request: pytest.FixtureRequest) -> bool:
    """Whether to rewrite golden files."""
    return bool(request.config.getoption("--regenerate"))


def pytest_configure(config: pytest.Config) -> None:
    """Take the options that test modules need, and restore signals that a script disabled.

    A process that a script starts in the background ignores signals, and its children inherit that.
    """
    budgets.LONG = bool(config.getoption("--long"))
    if budgets.LONG:
        known = hypothesis.settings.get_profile("gaovm")
        hypothesis.settings.register_profile("gaovm-long", known, derandomize=False)
        hypothesis.settings.load_profile("gaovm-long")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
