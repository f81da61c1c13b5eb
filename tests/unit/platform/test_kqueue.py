"""The code for BSD and macOS, with a fake ``select.kqueue``.

It never ran on such a system: these tests check what it asks for and how it uses the answers.
"""

from __future__ import annotations

import os
import types
from pathlib import Path
from typing import Any

import pytest

from gaovm import errors
from gaovm.platform.portable import kqueue

NAMES = (
    *("KQ_FILTER_PROC", "KQ_FILTER_VNODE", "KQ_EV_ADD", "KQ_EV_CLEAR", "KQ_NOTE_EXIT"),
    *("KQ_NOTE_DELETE", "KQ_NOTE_RENAME", "KQ_NOTE_LINK", "KQ_NOTE_WRITE", "KQ_NOTE_EXTEND"),
)


class Queue:
    """The kernel's part: ``asked`` has the requests, ``coming`` the events it returns next."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.coming: list[Any] = []
        self.closed = False

    def control(self, changes: list[Any] | None, most: int, timeout: float) -> list[Any]:
        for event in changes or ():
            if event.filter == "KQ_FILTER_PROC" and event.ident == 999_999:
                raise ProcessLookupError(3, "No such process")
            self.asked.append(event)
        found, self.coming = self.coming[:most], self.coming[most:]
        return found

    def fileno(self) -> int:
        return 77

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> list[Queue]:
    made: list[Queue] = []

    def make() -> Queue:
        made.append(Queue())
        return made[-1]

    def kevent(ident: int, **fields: Any) -> Any:
        return types.SimpleNamespace(ident=ident, **fields)

    values: dict[str, Any] = {name: 1 << place for place, name in enumerate(NAMES)}
    values |= {"KQ_FILTER_PROC": "KQ_FILTER_PROC", "KQ_FILTER_VNODE": "KQ_FILTER_VNODE"}
    monkeypatch.setattr(
        kqueue, "_kqueue", types.SimpleNamespace(kqueue=make, kevent=kevent, **values)
    )
    return made


def test_an_exit(queues: list[Queue]) -> None:
    handle = kqueue.watch_exit(4711)
    assert handle.fileno() == 77
    (event,) = queues[0].asked
    assert (event.ident, event.filter) == (4711, "KQ_FILTER_PROC")
    with pytest.raises(ProcessLookupError):
        kqueue.watch_exit(999_999)
    assert queues[1].closed


def test_names(queues: list[Queue], tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    told = kqueue.names([str(lock)])
    (event,) = queues[0].asked
    assert os.path.samestat(os.fstat(event.ident), lock.stat())
    assert told.take()
    gone = types.SimpleNamespace(ident=event.ident, fflags=event.fflags)
    queues[0].coming = [gone]
    assert not told.take()
    told.close()
    assert queues[0].closed
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(event.ident)


def test_contents_follow_the_files_of_a_directory(queues: list[Queue], tmp_path: Path) -> None:
    (tmp_path / "a.log").touch()
    told = kqueue.contents([str(tmp_path)])
    watched = [event.ident for event in queues[0].asked]
    assert len(watched) == 2
    (tmp_path / "b.log").touch()
    told.take()  # the directory reports the new name
    assert len(queues[0].asked) == 3
    # a removed file is no longer watched, but the directory still exists
    renamed = types.SimpleNamespace(ident=watched[1], fflags=queues[0].asked[1].fflags)
    (tmp_path / "a.log").unlink()
    queues[0].coming = [renamed]
    assert told.take()
    told.close()


def test_a_missing_file_cannot_be_watched(queues: list[Queue], tmp_path: Path) -> None:
    with pytest.raises(errors.HostError, match="no cannot be watched"):
        kqueue.names([str(tmp_path / "no")])
    assert queues[0].closed
