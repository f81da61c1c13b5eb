"""A directory may be GaoVM's home only if nobody else can exchange a part of its path."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.hostfacts import homes

NOBODY = 65534


@pytest.fixture
def base() -> Iterator[Path]:
    """Make a directory of ours below a sticky one that everybody can write."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


def test_a_home_of_ours_below_a_sticky_directory_is_fine(base: Path) -> None:
    homes.check(str(base / "home"), write=True)
    (base / "home").mkdir(mode=0o700)
    homes.check(str(base / "home"), write=True)


@pytest.mark.parametrize("there", [True, False])
def test_a_parent_that_others_can_write_is_refused(base: Path, there: bool) -> None:
    shared, home = base / "shared", base / "shared" / "a" / "home"
    shared.mkdir()
    if there:
        home.mkdir(parents=True)
    shared.chmod(0o777)
    with pytest.raises(errors.PermissionMissing) as info:
        homes.check(str(home), write=False)
    assert str(info.value) == (
        f"{shared} can be written by other users (mode 0777): they can exchange {home}"
    )
    assert info.value.remedy == (
        f"chmod go-w {shared}, or set GAOVM_HOME to a directory of your own"
    )
    shared.chmod(0o1777)
    homes.check(str(home), write=False)


def test_a_home_that_others_can_write_is_refused(base: Path) -> None:
    base.chmod(0o777)
    with pytest.raises(errors.PermissionMissing, match="they can exchange what is in it"):
        homes.check(str(base), write=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs directories of two users")
def test_a_parent_of_another_user_is_refused(base: Path) -> None:
    theirs = base / "theirs"
    theirs.mkdir(mode=0o755)
    (theirs / "home").mkdir(mode=0o700)
    os.chown(theirs, NOBODY, NOBODY)
    with pytest.raises(errors.PermissionMissing, match="who can exchange"):
        homes.check(str(theirs / "home"), write=False)
    os.chown(theirs, 0, NOBODY)
    theirs.chmod(0o775)
    with pytest.raises(errors.PermissionMissing, match=r"can be written by other users"):
        homes.check(str(theirs / "home"), write=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a link of another user")
def test_the_target_of_a_link_has_to_be_ours(base: Path) -> None:
    shared = base / "shared"
    (shared / "home").mkdir(parents=True)
    link = base / "link"
    link.symlink_to(shared)
    homes.check(str(link / "home"), write=False)
    shared.chmod(0o777)
    with pytest.raises(errors.PermissionMissing, match=f"{shared} can be written"):
        homes.check(str(link / "home"), write=False)
    shared.chmod(0o755)
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(errors.PermissionMissing, match=f"{link} belongs to"):
        homes.check(str(link / "home"), write=False)
