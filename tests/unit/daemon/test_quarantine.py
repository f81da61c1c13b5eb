"""Damaged files are moved aside, kept, and named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.daemon.storage import quarantine


def test_a_good_file_is_read_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"cpu": 2}')
    assert quarantine.read(path, json.loads) == {"cpu": 2}
    assert path.exists()


@pytest.mark.parametrize("damage", [b"", b'{"cpu": ', b"\0" * 512, b"[" * 100_000, b"\xff\xfe"])
def test_a_damaged_file_is_moved_aside_and_named(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(damage)
    with pytest.raises(errors.StateCorrupt) as caught:
        quarantine.read(path, json.loads)
    kept = Path(caught.value.details["quarantined"])
    assert kept.read_bytes() == damage
    assert str(kept) in caught.value.message
    assert str(path) in caught.value.message
    assert [entry.name for entry in tmp_path.iterdir()] == [kept.name]


def test_files_moved_aside_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    kept = []
    for number in range(5):
        path.write_text(str(number))
        kept.append(quarantine.aside(path))
    assert [entry.read_text() for entry in kept] == ["0", "1", "2", "3", "4"]


def test_a_missing_file_and_a_too_large_file_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(errors.NotFound):
        quarantine.read(path, json.loads)
    path.write_text("1234567890")
    with pytest.raises(errors.StateCorrupt, match="larger than 5 bytes"):
        quarantine.read(path, json.loads, max_size=5)


def test_companions_move_with_their_file(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).write_text(suffix)
    kept = quarantine.aside(path, "-wal", "-shm")
    assert kept.with_name(kept.name + "-wal").read_text() == "-wal"
    assert len(list(tmp_path.iterdir())) == 3
