"""The agent's log, with a fake agent that may be hostile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.guestmanager.pairs import Pair

from gaovm.aio import clock, logs, tasks
from gaovm.driver.guest.agentlog import AgentLog


def line(seq: int, message: str, **more: Any) -> bytes:
    return json.dumps({"seq": seq, "message": message, **more}).encode() + b"\n"


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


async def follow(path: Path, *journals: bytes, agents: tuple[str, ...] = ("one", "one")) -> None:
    """Follow one journal after another, each to its end."""
    async with tasks.TaskOwner("test") as owner, Pair() as pair:
        connection, _ = await pair.ear.connected.get()
        log = AgentLog(path, "web", owner)
        for journal, agent in zip(journals, agents, strict=False):
            pair.agent.journal = journal
            log.begin(connection, agent)
            await until(lambda: not len(owner))
        log.close()


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_bytes().splitlines()]


async def test_lines_are_written_once_with_the_hosts_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: 1000.0)
    path = tmp_path / "agent.log"
    first = line(1, "boot", age_ms=2500, level="debug") + line(2, "two", age_ms=-5)
    await follow(path, first, first + line(3, "three", age_ms=10**15))
    assert read(path) == [
        {
            "ts": "1970-01-01T00:16:37.500Z",
            "level": "debug",
            "logger": "agent",
            "message": "boot",
            "vm": "web",
        },
        {**read(path)[0], "ts": "1970-01-01T00:16:40.000Z", "level": "info", "message": "two"},
        {**read(path)[0], "ts": "1969-12-31T23:16:40.000Z", "level": "info", "message": "three"},
    ]
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_new_agent_has_its_journal_read_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    await follow(path, line(7, "old"), line(1, "new"), agents=("one", "two"))
    assert [found["message"] for found in read(path)] == ["old", "new"]


@pytest.mark.parametrize(
    "journal",
    [
        b"garbage\n",
        b"[" * 10_000 + b"\n",
        b"x" * 40_000,
        b'{"message": "", "level": "loud"}\n',
        b'{"message": 1}\n',
        b'{"message": "m", "seq": 1e99}\n',
    ],
)
async def test_garbage_only_ends_the_reading_of_the_journal(
    tmp_path: Path, journal: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "agent.log"
    await follow(path, line(1, "good") + journal, line(2, "again"))
    assert "the agent's log: /v1/log:" in caplog.text
    assert [found["message"] for found in read(path)][-1] == "again"


async def test_a_hostile_line_is_shortened_and_made_harmless(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    await follow(path, line(1, "\x1b[2J\n\x9b\x00\u2028" + "x" * 9000))
    (found,) = read(path)
    assert found["message"] == " [2J    " + "x" * 1992


async def test_the_level_goes_to_the_agent(tmp_path: Path) -> None:
    before = logs.level()
    async with tasks.TaskOwner("test") as owner, Pair() as pair:
        connection, _ = await pair.ear.connected.get()
        pair.agent.journal = b""
        log = AgentLog(tmp_path / "agent.log", "web", owner)
        try:
            logs.set_level("warn")
            log.begin(connection, "one")
            await until(lambda: len(pair.agent.calls) == 1)
            logs.set_level("debug")
            log.relevel()
            await until(lambda: len(pair.agent.calls) == 2)
        finally:
            logs.set_level(before)
        log.close()
        log.relevel()
    assert [body for path, body in pair.agent.calls if path == "/v1/log"] == [
        {"level": "warn", "after": 0},
        {"level": "debug", "after": 0},
    ]
