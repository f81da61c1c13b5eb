"""Options and checks that all tests share."""

from __future__ import annotations

import asyncio

import pytest

# Without this, asking for "the current loop" makes one that nobody closes (Python 3.11).
asyncio.set_event_loop(None)


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
