"""A changed file makes a descriptor readable, with either way to watch."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from gaovm import errors
from gaovm.platform import notices
from gaovm.platform.linux import inotify
from gaovm.platform.portable import looking

HALVES: list[ModuleType] = [inotify, looking]
LIMIT_S = 60


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_LOOK_S", 0.05)


@pytest.mark.parametrize("half", HALVES)
def test_changes_in_a_directory(half: ModuleType, tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    log = directory / "a.log"
    told = half.contents([str(directory)])
    for change in (
        lambda: log.write_text("x"),
        lambda: log.write_text("xy"),
        lambda: log.rename(directory / "a.log.1"),
        lambda: (directory / "a.log.1").unlink(),
    ):
        change()
        assert notices.wait(told, LIMIT_S), "the directory still exists"
    while told.take() and notices.wait(told, 0.2) and _readable(told):
        pass  # one change may cause several notices
    directory.rmdir()
    while notices.wait(told, LIMIT_S):
        pass
    told.close()
    told.close()


def _readable(told: notices.Notices) -> bool:
    import select

    return bool(select.select([told.fileno()], [], [], 0)[0])


@pytest.mark.parametrize("half", HALVES)
def test_a_name_that_disappears(half: ModuleType, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    told = half.names([str(lock), str(tmp_path)])
    assert notices.wait(told, 0.1)
    assert not _readable(told)
    lock.rename(tmp_path / "moved")
    assert not notices.wait(told, LIMIT_S)
    told.close()


@pytest.mark.parametrize("half", HALVES)
def test_a_missing_file_cannot_be_watched(half: ModuleType, tmp_path: Path) -> None:
    for make in (half.names, half.contents):
        with pytest.raises(errors.HostError, match="no cannot be watched"):
            make([str(tmp_path / "no")])
