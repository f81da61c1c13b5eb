"""Options and checks that all tests share."""

from __future__ import annotations

import asyncio
import signal

import hypothesis
import pytest
from tests import budgets, lanes

# Without this, asking for "the current loop" makes one that nobody closes (Python 3.11).
asyncio.set_event_loop(None)
# How long an example takes is the machine's affair.
hypothesis.settings.register_profile("gaovm", deadline=None)
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
    """Where workers share the tests, long ones come first; else the order stays as it is."""
    if hasattr(config, "workerinput"):
        lanes.arrange(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With ``--dist loadscope``, what stays together is for ``lanes`` to say."""
    return lanes.scheduler(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.fixture
def regenerate(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten."""
    return bool(request.config.getoption("--regenerate"))


def pytest_configure(config: pytest.Config) -> None:
    """Take the options that test modules need; give signals back what a script took away.

    Started in the background of a script, signals are ignored, and children inherit that.
    """
    budgets.LONG = bool(config.getoption("--long"))
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
