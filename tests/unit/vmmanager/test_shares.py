"""virtiofsd's command line: which options keep shares correct, and which it must not have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gaovm.builder.document import ShareDevice
from gaovm.model.facts import VirtiofsdFact
from gaovm.vmmanager.qemu import virtiofsd

OLD = VirtiofsdFact(path="/v", flavour="c", usable=True, reason="")
NEW = VirtiofsdFact(path="/v", flavour="rust", usable=True, reason="")


def device(location: Path | str) -> ShareDevice:
    return ShareDevice(
        tag="t",
        type="virtiofs",
        reason="",
        location=str(location),
        mount_point="/mnt",
        writable=True,
        fd="share0",
    )


@pytest.mark.parametrize("caged", [True, False])
def test_guests_cache_nothing_that_may_be_stale(caged: bool) -> None:
    words = virtiofsd.arguments(OLD, device("/srv/a,b\\c"), 7, caged=caged)
    assert "timeout=0" in words and "cache=auto" in words
    assert "source=/srv/a\\,b\\\\c" in words and "--fd=7" in words
    assert "--cache=never" in virtiofsd.arguments(NEW, device("/srv"), 7, caged=caged)


@pytest.mark.parametrize("program", [OLD, NEW])
def test_root_does_not_ask_for_rights_that_were_dropped(
    program: VirtiofsdFact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    words = virtiofsd.arguments(program, device("/srv"), 7, caged=True)
    assert any(word.endswith("modcaps=-mknod:-setfcap:-fsetid") for word in words)
    assert any(word.endswith("sandbox=chroot") for word in words)
    assert "--rlimit-nofile=0" in words


def test_a_link_is_resolved_unless_a_cage_does_it(tmp_path: Path) -> None:
    (tmp_path / "to").symlink_to("real")
    (tmp_path / "real").mkdir()
    link = tmp_path / "to"
    assert f"source={tmp_path}/real" in virtiofsd.arguments(OLD, device(link), 7, caged=False)
    assert f"source={link}" in virtiofsd.arguments(OLD, device(link), 7, caged=True)
