"""Ranges of user ids: who holds them, for how long, and how a namespace maps them."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gaovm import errors
from gaovm.platform.confine import calls, identities
from gaovm.platform.confine.cage import Ids

LEND = """
import sys
from gaovm.platform.confine import identities
identities.LOCK = sys.argv[2]
lent = identities.lend(sys.argv[1])
print(lent.ids.first, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(identities, "LOCK", str(tmp_path / "lock"))
    return tmp_path / "lock"


def test_the_default_is_a_range_that_no_system_uses() -> None:
    assert identities.span() == (1879048192, 4094)


@pytest.mark.parametrize(
    "text", ["0-65535", "100000-165534", "x", "1-2-3", "-1-99999999", "65536-4294967295", "9" * 30]
)
def test_an_error_about_a_bad_range_shows_a_good_one(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(identities.VARIABLE, text)
    with pytest.raises(errors.HostError, match="is no range of at least 65536") as caught:
        identities.span()
    assert caught.value.field == identities.VARIABLE
    assert identities.DEFAULT in str(caught.value.remedy)


def test_a_block_has_one_holder_who_returns_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(identities.VARIABLE, "3000000000-3000131071")  # two blocks
    first = identities.lend("a")
    second = identities.lend("a")
    assert {first.ids.first, second.ids.first} == {3000000000, 3000065536}
    with pytest.raises(errors.HostError, match="all 2 blocks"):
        identities.lend("b")
    first.close()
    again = identities.lend("a")
    assert again.ids == first.ids, "the same key must get the same ids again"
    again.close()
    second.close()


def test_overlapping_blocks_are_not_both_lent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(identities.VARIABLE, "3000000000-3000065535")
    first = identities.lend("a")
    monkeypatch.setenv(identities.VARIABLE, "3000065535-3000131070")
    with pytest.raises(errors.HostError, match="in use"):
        identities.lend("a")
    first.close()
    identities.lend("a").close()


def test_another_user_cannot_take_all_blocks(monkeypatch: pytest.MonkeyPatch, lock: Path) -> None:
    monkeypatch.setenv(identities.VARIABLE, "3000300000-3000365535")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as taken:
        taken.bind("\0gaovm-uid-3000300000")  # anybody may bind a socket of such a name
        identities.lend("a").close()
    assert lock.stat().st_mode & 0o777 == 0o600, "nobody else may open the file and lock it"


def test_a_file_that_cannot_be_locked_is_named(lock: Path) -> None:
    lock.symlink_to("elsewhere")
    with pytest.raises(errors.HostError, match=str(lock)):
        identities.lend("a")


def test_a_killed_holder_loses_its_block(monkeypatch: pytest.MonkeyPatch, lock: Path) -> None:
    monkeypatch.setenv(identities.VARIABLE, "3000200000-3000265535")
    child = subprocess.Popen(
        [sys.executable, "-c", LEND, "x", str(lock)],
        env={**os.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"3000200000\n"
        with pytest.raises(errors.HostError, match="in use"):
            identities.lend("y")
        child.kill()
    lent = identities.lend("y")
    lent.close()


@given(st.lists(st.integers(0, 200_000), max_size=6))
@example([65535])  # the last id of the block: nothing follows it
def test_owners_keep_their_ids_and_all_other_ids_are_the_vms(owners: list[int]) -> None:
    ids = Ids(1 << 30)
    lines = [
        [int(w) for w in line.split()] for line in identities.mapping(ids, owners).splitlines()
    ]
    inside: dict[int, int] = {}
    for start, target, count in lines:
        assert count > 0
        for offset in (0, count - 1):
            inside[start + offset] = target + offset
    for owner in owners:
        assert inside[owner] == owner
    spans = sorted((start, start + count) for start, _, count in lines)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    covered = sum(min(end, ids.size) - start for start, end in spans if start < ids.size)
    assert covered == ids.size
    for start, target, _ in lines:
        assert target in (start, ids.first + start)


def test_a_container_with_few_ids_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    if identities.obstacle():
        pytest.skip("this container has few ids")
    monkeypatch.setattr(identities, "span", lambda: ((1 << 32) - 1, 1))
    assert "/proc/self/uid_map has none of the ids" in identities.obstacle()


def test_a_kernel_that_refuses_user_namespaces_is_reported_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(flags: int) -> None:
        raise PermissionError(1, "not allowed")

    monkeypatch.setattr(calls, "unshare", refused)
    with pytest.raises(PermissionError, match="no user namespace is allowed here"):
        identities.make_namespace(Ids(1 << 30), [(0, 0)])
