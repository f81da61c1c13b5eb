"""The command line of virtiofsd: what makes it true, and what it may not claim."""

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
def test_no_guest_trusts_what_it_knew(caged: bool) -> None:
    words = virtiofsd.arguments(OLD, device("/srv/a,b\\c"), 7, caged=caged)
    assert "timeout=0" in words and "cache=auto" in words
    assert "source=/srv/a\\,b\\\\c" in words and "--fd=7" in words
    assert "--cache=never" in virtiofsd.arguments(NEW, device("/srv"), 7, caged=caged)


@pytest.mark.parametrize("program", [OLD, NEW])
def test_root_claims_nothing_that_was_taken(
    program: VirtiofsdFact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    words = virtiofsd.arguments(program, device("/srv"), 7, caged=True)
    assert any(word.endswith("modcaps=-mknod:-setfcap:-fsetid") for word in words)
    assert any(word.endswith("sandbox=chroot") for word in words)
    assert "--rlimit-nofile=0" in words


def test_a_link_is_resolved_where_no_cage_does(tmp_path: Path) -> None:
    (tmp_path / "to").symlink_to("real")
    (tmp_path / "real").mkdir()
    link = tmp_path / "to"
    assert f"source={tmp_path}/real" in virtiofsd.arguments(OLD, device(link), 7, caged=False)
    assert f"source={link}" in virtiofsd.arguments(OLD, device(link), 7, caged=True)
