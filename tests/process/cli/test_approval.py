"""``gaovm up`` with a file that reaches further than was approved: show, ask, refuse."""

from __future__ import annotations

import os
import pty
import subprocess
from typing import Any

import pytest
from tests.process.cli import conftest, fakes

from gaovm import errors

DIGEST = "sha256:" + "ab" * 32


@pytest.fixture
def asked(daemon: fakes.FakeDaemon) -> list[dict[str, Any]]:
    """Return the parameters of every ``vm.up``; the daemon wants an approval for it."""
    seen: list[dict[str, Any]] = []

    def up(params: dict[str, Any], call: fakes.Call) -> Any:
        seen.append(params)
        if params.get("approve") == DIGEST:
            return {"vm": fakes.vm("web-dev"), "created": False, "already": False, "warnings": []}
        raise errors.ApprovalNeeded(
            "the project file reaches further:\n  + mount /etc\x1b[2J (writable)",
            remedy="`gaovm up --yes`",
            details={"digest": DIGEST, "widenings": [], "approved_text": "cpus: 1\n"},
        )

    daemon.handlers["vm.up"] = up
    return seen


def on_a_terminal(gaovm: conftest.Gaovm, answer: bytes) -> tuple[int, str]:
    """Run ``gaovm up`` with a terminal as standard input, on which somebody answers."""
    main, side = pty.openpty()
    try:
        child = subprocess.Popen(
            gaovm.argv("up"),
            stdin=side,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=gaovm.project,
            env=gaovm.environment,
        )
        os.write(main, answer)
        _, told = child.communicate(timeout=30)
    finally:
        os.close(main)
        os.close(side)
    return child.returncode, told.decode()


def test_without_a_terminal_nothing_is_approved(
    gaovm: conftest.Gaovm, asked: list[dict[str, Any]]
) -> None:
    done = gaovm("up", "--json")
    assert done.returncode == 2
    assert b"mount /etc[2J (writable)" in done.stderr, "made harmless"
    assert b"gaovm up --yes" in done.stderr
    assert b'"approval_needed"' in done.stdout and DIGEST.encode() in done.stdout
    assert [params.get("approve") for params in asked] == [None]


def test_yes_approves_and_shows_what(gaovm: conftest.Gaovm, asked: list[dict[str, Any]]) -> None:
    done = gaovm("up", "--yes")
    assert done.returncode == 0, done.stderr
    assert [params.get("approve") for params in asked] == [None, DIGEST]
    shown = done.stderr.decode()
    assert "mount /etc[2J (writable)" in shown
    assert "-cpus: 1" in shown and '+images: [{location: "debian:12"}]' in shown


def test_a_person_is_asked(gaovm: conftest.Gaovm, asked: list[dict[str, Any]]) -> None:
    code, told = on_a_terminal(gaovm, b"n\n")
    assert code == 2
    assert "Let its VM have this? [y/N]" in told and "nothing was changed" in told
    assert len(asked) == 1
    code, told = on_a_terminal(gaovm, b"y\n")
    assert code == 0, told
    assert asked[-1]["approve"] == DIGEST
