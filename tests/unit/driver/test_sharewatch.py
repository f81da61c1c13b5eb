"""What changes in a share is told to the guest: once, in batches, and never lost in silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gaovm import errors
from gaovm.aio import tasks
from gaovm.builder.document import ShareDevice
from gaovm.driver.guest import sharewatch
from gaovm.driver.status import Status
from gaovm.guestmanager import changes
from gaovm.platform import system
from gaovm.wire.agent.changes import Change, Told
from gaovm.wire.driver import notifications

pytestmark = pytest.mark.skipif(not system.LINUX, reason="only Linux has inotify")
Tell = Callable[[Sequence[Change]], None]


def device(path: Path, *, inotify: bool = True, kind: str = "virtiofs") -> ShareDevice:
    return ShareDevice(
        tag="t",
        type=kind,
        reason="r",
        location=str(path),
        mount_point="/in/guest",
        writable=True,
        inotify=inotify,
    )


class Guest:
    """Stands in for the agent: keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[dict[str, str]] = []
        self.told = asyncio.Event()
        self.asked = asyncio.Event()
        self.error: errors.GaoError | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def tell(self, _: Any, mount: str, changes: Sequence[Change]) -> Told:
        assert mount == "/in/guest"
        if changes:
            self.asked.set()
        await self.open.wait()
        if self.error is not None:
            raise self.error
        if not changes:
            return Told()  # only so that the agent begins to look
        self.calls.append({change.path: change.kind for change in changes})
        self.told.set()
        return Told(told=len(changes))

    async def next(self) -> dict[str, str]:
        await self.told.wait()
        self.told.clear()
        return self.calls[-1]


@pytest.fixture
async def owner() -> AsyncIterator[tasks.TaskOwner]:
    async with tasks.TaskOwner() as owner:
        yield owner


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> Guest:
    made = Guest()
    monkeypatch.setattr(changes, "tell", made.tell)
    return made


def watch(
    owner: tasks.TaskOwner, *devices: ShareDevice
) -> tuple[sharewatch.ShareWatch, list[notifications.Notification]]:
    reports: list[notifications.Notification] = []
    made = sharewatch.ShareWatch(devices, Status(reports.append), owner)
    made.open()
    return made, reports


CONNECTION: Any = object()


async def test_changes_are_told_together(
    tmp_path: Path, owner: tasks.TaskOwner, guest: Guest
) -> None:
    (tmp_path / "sub").mkdir()
    watched, reports = watch(owner, device(tmp_path))
    watched.begin(CONNECTION)
    await watched.watching.wait()
    (tmp_path / "sub" / "a").write_text("1")
    (tmp_path / "sub" / "a").write_text("2")
    (tmp_path / "b").write_text("1")
    assert await guest.next() == {"sub/a": "made", "b": "made"}
    watched.close()
    assert reports == []


async def test_what_changed_while_nobody_listened_comes_first(
    tmp_path: Path, owner: tasks.TaskOwner, guest: Guest
) -> None:
    (tmp_path / "a").write_text("1")
    watched, _ = watch(owner, device(tmp_path))
    watched.begin(CONNECTION)
    await watched.watching.wait()
    watched.end()
    (tmp_path / "a").write_text("2")
    watched.begin(CONNECTION)
    assert await guest.next() == {"a": "changed"}
    watched.close()


async def test_a_slow_guest_is_told_of_each_path_once(
    tmp_path: Path, owner: tasks.TaskOwner, guest: Guest
) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("1")
    watched, _ = watch(owner, device(tmp_path))
    watched.begin(CONNECTION)
    await watched.watching.wait()
    guest.open.clear()
    (tmp_path / "a").write_text("2")
    await guest.asked.wait()
    for number in range(20):
        (tmp_path / "b").write_text(str(number))
    guest.open.set()
    assert await guest.next() == {"a": "changed"}
    assert await guest.next() == {"b": "changed"}
    assert len(guest.calls) == 2
    watched.close()


async def test_a_large_burst_is_several_calls(
    tmp_path: Path, owner: tasks.TaskOwner, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MAX_CHANGES", 8)
    watched, _ = watch(owner, device(tmp_path))
    watched.begin(CONNECTION)
    await watched.watching.wait()
    names = {f"f{number}" for number in range(20)}
    for name in names:
        (tmp_path / name).write_text("1")
    while len(guest.calls) < 3:
        await guest.next()
    assert [len(call) for call in guest.calls] == [8, 8, 4]
    assert set().union(*guest.calls) == names
    watched.close()


async def test_more_than_can_wait_is_told_by_its_directory(
    tmp_path: Path, owner: tasks.TaskOwner, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharewatch, "MAX_WAITING", 4)
    (tmp_path / "d").mkdir()
    watched, _ = watch(owner, device(tmp_path))
    watched.begin(CONNECTION)
    await watched.watching.wait()
    for number in range(10):
        (tmp_path / "d" / f"f{number}").write_text("1")
    told = await guest.next()
    assert told == {**{f"d/f{number}": "made" for number in range(4)}, "d": "changed"}
    watched.close()


async def test_an_agent_that_cannot_is_reported(
    tmp_path: Path, owner: tasks.TaskOwner, guest: Guest
) -> None:
    guest.error = errors.GuestCallFailed("no such call")
    watched, reports = watch(owner, device(tmp_path))
    watched.begin(CONNECTION)
    await watched.watching.wait()
    (tmp_path / "a").write_text("1")
    while not reports:
        await asyncio.sleep(0.01)
    report = reports[0]
    assert isinstance(report, notifications.Health)
    assert (report.kind, report.detail) == ("shares_unwatched", "/in/guest: no such call")
    guest.error = None
    (tmp_path / "b").write_text("1")
    assert await guest.next() == {"b": "made"}
    watched.close()


async def test_what_a_paused_guest_did_not_take_is_told_later(
    tmp_path: Path, owner: tasks.TaskOwner, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharewatch, "RETRY_S", 0.01)
    guest.error = errors.GuestUnavailable("no answer")
    watched, reports = watch(owner, device(tmp_path))
    watched.begin(CONNECTION)
    await watched.watching.wait()
    (tmp_path / "a").write_text("1")
    await guest.asked.wait()
    guest.error = None
    assert await guest.next() == {"a": "made"}
    watched.close()
    assert reports == []


async def test_too_many_directories_are_reported_once(
    tmp_path: Path, owner: tasks.TaskOwner, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharewatch, "MAX_WATCHES", 2)
    for name in "abc":
        (tmp_path / name).mkdir()
    watched, reports = watch(owner, device(tmp_path))
    watched.begin(CONNECTION)
    while not reports:
        await asyncio.sleep(0.01)
    (tmp_path / "x").write_text("1")
    assert await guest.next() == {"x": "made"}
    assert len(reports) == 1
    report = reports[0]
    assert isinstance(report, notifications.Health)
    assert report.detail.startswith(f"2 directories below {tmp_path} are not watched: 2 are")
    watched.close()


async def test_directories_of_9p_are_held(
    tmp_path: Path, owner: tasks.TaskOwner, guest: Guest
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    watched, _ = watch(owner, device(tmp_path, kind="9p"))
    watched.begin(CONNECTION)
    assert await guest.next() == {"a": "hold", "a/b": "hold"}
    (tmp_path / "c").mkdir()
    while "c" not in guest.calls[-1] or guest.calls[-1]["c"] != "hold":
        await guest.next()
    watched.close()


async def test_other_shares_are_not_watched(
    tmp_path: Path, owner: tasks.TaskOwner, guest: Guest
) -> None:
    watched, reports = watch(owner, device(tmp_path, inotify=False))
    (tmp_path / "a").write_text("1")
    watched.begin(CONNECTION)
    await asyncio.sleep(0)
    watched.close()
    assert not watched.watching.is_set()
    assert guest.calls == [] and reports == []
