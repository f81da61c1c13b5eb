"""Options and checks that all tests share."""

from __future__ import annotations

import asyncio
import signal

import hypothesis
import pytest

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


@pytest.fixture
def regenerate(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten."""
    return bool(request.config.getoption("--regenerate"))


def pytest_configure() -> None:
    """Started in the background of a script, signals are ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
