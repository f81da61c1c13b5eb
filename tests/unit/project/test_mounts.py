"""What a config says about its mounts: places, options, and whether watchers are told."""

from __future__ import annotations

import pytest
from tests.unit.project.reading import PROJECT, load, problem, with_image

from gaovm.spec.shares import NineP, Share


def share(entry: str, *more: str) -> Share:
    """Return the only share of an entry that covers the project, or the one beside it."""
    loaded = load(with_image("\n".join((f"mounts: [{entry}]", *more))))
    return next(each for each in loaded.spec.shares if each.field)


@pytest.mark.parametrize(
    ("written", "location"),
    [
        (".", PROJECT),
        ("..", "/home/ann"),
        ("./data", f"{PROJECT}/data"),
        ("../other/.", "/home/ann/other"),
        ("~/x", "/home/ann/x"),
        ("'{{.Home}}/x'", "/home/ann/x"),
    ],
)
def test_places(written: str, location: str) -> None:
    found = share(f"{{location: {written}}}")
    assert (found.location, found.mount_point) == (location, location)


def test_a_relative_mount_point_is_refused() -> None:
    assert "absolute path" in problem(with_image("mounts: [{location: /a, mountPoint: ./b}]"))


def test_a_location_without_a_dot_is_refused_as_by_lima() -> None:
    text = with_image("mounts: [{location: data}]")
    assert problem(text) == "1 mounts[0].location: must be an absolute path, got `data`"


def test_inotify_is_for_every_share() -> None:
    loaded = load(with_image("mounts: [{location: /a}]\nmountInotify: true"))
    assert [each.inotify for each in loaded.spec.shares] == [True, True]
    assert not loaded.warnings
    assert not share("{location: /a}", "mountInotify: false").inotify


def test_options_of_9p() -> None:
    found = share("{location: /a, 9p: {securityModel: mapped-xattr, msize: 64KiB, cache: none}}")
    assert found.nine_p == NineP(security_model="mapped-xattr", msize_bytes=65536, cache="none")


@pytest.mark.parametrize("cache", ["loose", "fscache"])
def test_a_cache_that_shows_old_content_is_not_used(cache: str) -> None:
    loaded = load(with_image(f"mounts: [{{location: /a, 9p: {{cache: {cache}}}}}]"))
    assert [each.nine_p.cache for each in loaded.spec.shares] == [None, None]
    what = f"not honoured: with {cache} the guest reads old content; mmap is used"
    assert list(loaded.warnings) == [f"c.yaml:1: mounts[0].9p.cache: {what}"]


def test_an_old_protocol_and_a_long_message_are_warned_of() -> None:
    entry = "{location: /a, 9p: {protocolVersion: 9p2000.u, msize: 1MiB}}"
    loaded = load(with_image(f"mounts: [{entry}]"))
    assert [line.split(": ")[1] for line in loaded.warnings] == [
        "mounts[0].9p.protocolVersion",
        "mounts[0].9p.msize",
    ]
    assert share(entry).nine_p.msize_bytes == 500 << 10


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("9p: {securityModel: all}", "9p.securityModel: expected one of none, passthrough"),
        ("9p: {cache: much}", "9p.cache: expected one of none, mmap"),
        ("9p: {msize: 1KiB}", "9p.msize: expected a size from 4KiB on"),
        ("9p: {protocolVersion: 9p3000}", "9p.protocolVersion: expected one of 9p2000"),
        ("virtiofs: {queueSize: 1000}", "virtiofs.queueSize: expected one of 16, 32"),
    ],
)
def test_refused(entry: str, expected: str) -> None:
    found = problem(with_image(f"mounts: [{{location: /a, {entry}}}]"))
    assert found.startswith(f"1 mounts[0].{expected}")


def test_queue_size() -> None:
    assert share("{location: /a, virtiofs: {queueSize: 256}}").queue_size == 256
    assert share("{location: /a}").queue_size is None


def test_reverse_sshfs() -> None:
    more = "mountType: reverse-sshfs"
    found = share("{location: /a, sshfs: {cache: true, followSymlinks: true}}", more)
    assert (found.type, found.follow_symlinks) == ("reverse-sshfs", True)
    entry = "{location: /a, sshfs: {sftpDriver: builtin}}"
    loaded = load(with_image(f"mounts: [{entry}]\n{more}"))
    assert [line.split(": ")[1] for line in loaded.warnings] == ["mounts[0].sshfs.sftpDriver"]
    wrong = with_image("mounts: [{location: /a, sshfs: {sftpDriver: mine}}]")
    assert "sftpDriver: expected one of builtin, openssh-sftp-server" in problem(wrong)


def test_no_watcher_is_told_of_changes_in_a_mount_by_sshfs() -> None:
    loaded = load(with_image("mountType: reverse-sshfs\nmountInotify: true\n"))
    assert "mountInotify: no watcher is told" in loaded.warnings[0]
    assert not any(share.inotify for share in loaded.spec.shares)
