"""Copies as tar streams: complete, and safe even if a hostile guest sends the stream."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.client import copy, tar_read, tar_relay, tar_write


def entry(name: str, kind: bytes = tarfile.REGTYPE, **attributes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def stream(*entries: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(mode="w", fileobj=out, format=tarfile.PAX_FORMAT) as archive:
        for each in entries:
            if isinstance(each, tuple):
                info, data = each
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            else:
                archive.addfile(each)
    out.seek(0)
    return out


ROOT = entry(".", tarfile.DIRTYPE)


def test_a_tree_survives_a_round_trip(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep" / "er").mkdir(parents=True)
    (tree / "deep" / "er" / "f").write_bytes(b"\0\xff" * 100_000)
    (tree / "deep" / "er" / "f").chmod(0o640)
    (tree / ("x" * 200)).write_text("long")
    (tree / "é✓ \n").write_text("odd")
    (tree / "empty").touch()
    (tree / "link").symlink_to("deep/er/f")
    (tree / "dangling").symlink_to("/no/such")
    os.link(tree / "empty", tree / "zhard")
    os.mkfifo(tree / "pipe", 0o600)
    (tree / "deep").chmod(0o500)
    os.utime(tree / "empty", (1, 1_000_000_000))
    out = io.BytesIO()
    assert tar_write.write(out, tree) == []
    out.seek(0)
    target = tmp_path / "copy"
    assert tar_read.extract(out, target) == []
    assert (target / "deep" / "er" / "f").read_bytes() == b"\0\xff" * 100_000
    assert stat.S_IMODE((target / "deep" / "er" / "f").stat().st_mode) == 0o640
    assert stat.S_IMODE((target / "deep").stat().st_mode) == 0o500
    assert sorted(os.listdir(target)) == sorted(os.listdir(tree))
    assert (target / "link").readlink() == Path("deep/er/f")
    assert (target / "dangling").readlink() == Path("/no/such")
    assert (target / "zhard").samefile(target / "empty")
    assert stat.S_ISFIFO((target / "pipe").stat().st_mode)
    assert (target / "empty").stat().st_mtime == 1_000_000_000
    (tree / "deep").chmod(0o700)
    (target / "deep").chmod(0o700)


def test_an_existing_directory_keeps_its_mode(tmp_path: Path) -> None:
    tree, target = tmp_path / "tree", tmp_path / "target"
    (tree / "deep").mkdir(parents=True)
    (tree / "new").mkdir(mode=0o750)
    (target / "deep").mkdir(parents=True)
    for directory in (target, target / "deep"):
        directory.chmod(0o1777)  # the mode of /tmp
    out = io.BytesIO()
    assert tar_write.write(out, tree) == []
    out.seek(0)
    assert tar_read.extract(out, target) == []
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (target, target / "deep", target / "new")]
    assert modes == [0o1777, 0o1777, 0o750]


def test_one_file_or_link_is_copied_and_a_device_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"data")
    (tmp_path / "l").symlink_to("f")
    for name in ("f", "l"):
        out = io.BytesIO()
        tar_write.write(out, tmp_path / name)
        out.seek(0)
        tar_read.extract(out, tmp_path / f"{name}2")
    assert (tmp_path / "f2").read_bytes() == b"data"
    assert (tmp_path / "l2").readlink() == Path("f")
    with pytest.raises(errors.NotFound):
        tar_write.write(io.BytesIO(), tmp_path / "no")
    with pytest.raises(errors.HostError, match="device"):
        tar_write.write(io.BytesIO(), Path("/dev/null"))


@pytest.mark.parametrize(("real", "said"), [(1000, 2000), (1000, 0), (300_000, 400_000)])
def test_a_file_whose_size_differs_from_its_stat_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real: int, said: int
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * real)
    plain = tar_write._info

    def wrong(found: os.stat_result, arcname: str) -> tarfile.TarInfo:
        info = plain(found, arcname)
        info.size = said
        return info

    monkeypatch.setattr(tar_write, "_info", wrong)
    out = io.BytesIO()
    if real > 256 << 10:
        with pytest.raises(errors.HostError, match="became shorter"):
            tar_write.write(out, path)
        return
    tar_write.write(out, path)
    out.seek(0)
    tar_read.extract(out, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()


def test_files_of_proc_are_copied_whole(tmp_path: Path) -> None:
    out = io.BytesIO()
    tar_write.write(out, Path("/proc/version"))
    out.seek(0)
    tar_read.extract(out, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == Path("/proc/version").read_bytes()


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a/.."])
def test_names_outside_the_tree_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.GuestProtocolError, match="unsafe name"):
        tar_read.extract(stream(ROOT, (entry(name), b"x")), tmp_path / "d")
    assert not (tmp_path / "x").exists()


def test_extraction_follows_no_link_of_the_archive(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("mine")
    to_dir = entry("l", tarfile.SYMTYPE, linkname=str(outside))
    to_file = entry("m", tarfile.SYMTYPE, linkname=str(outside / "f"))
    with pytest.raises(errors.HostError):
        tar_read.extract(stream(ROOT, to_dir, (entry("l/x"), b"x")), tmp_path / "a")
    with pytest.raises(errors.HostError):
        tar_read.extract(stream(ROOT, to_dir, entry("l", tarfile.DIRTYPE)), tmp_path / "b")
    tar_read.extract(stream(ROOT, to_file, (entry("m"), b"theirs")), tmp_path / "c")
    assert (tmp_path / "c" / "m").read_text() == "theirs"
    hard = entry("h", tarfile.LNKTYPE, linkname="l/f")
    with pytest.raises(errors.HostError):
        tar_read.extract(stream(ROOT, to_dir, hard), tmp_path / "d")
    with pytest.raises(errors.GuestProtocolError):
        up = entry("h", tarfile.LNKTYPE, linkname="../outside/f")
        tar_read.extract(stream(ROOT, up), tmp_path / "e")
    assert os.listdir(outside) == ["f"]
    assert (outside / "f").read_text() == "mine"


def test_extraction_follows_no_link_at_the_target(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "t").symlink_to(outside)
    with pytest.raises(errors.HostError):
        tar_read.extract(stream(ROOT, (entry("x"), b"x")), tmp_path / "t")
    assert os.listdir(outside) == []


def test_a_file_replaces_only_regular_files(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for target in (pipe, link):
        with pytest.raises(errors.HostError, match="not a regular file"):
            tar_read.extract(stream((entry("FILE"), b"x")), target)
    assert stat.S_ISFIFO(pipe.stat().st_mode) and link.is_symlink()
    (tmp_path / "file").write_text("mine")
    link.unlink()
    link.symlink_to("file")
    tar_read.extract(stream((entry("FILE"), b"new")), link)
    assert (link.read_bytes(), (tmp_path / "file").read_text()) == (b"new", "mine")


def test_extraction_drops_set_id_bits_and_skips_devices(tmp_path: Path) -> None:
    device = entry("dev", tarfile.CHRTYPE, devmajor=1, devminor=3)
    found = tar_read.extract(stream(ROOT, (entry("s", mode=0o6755), b"x"), device), tmp_path / "d")
    assert found == ["dev: a device"]
    assert os.listdir(tmp_path / "d") == ["s"]
    assert stat.S_IMODE((tmp_path / "d" / "s").stat().st_mode) == 0o755


@pytest.mark.parametrize(
    "make",
    [
        lambda: stream(),
        lambda: stream((entry("other"), b"x")),
        lambda: stream((entry("FILE"), b"x"), (entry("two"), b"x")),
        lambda: stream(entry("FILE", tarfile.DIRTYPE)),
        lambda: stream(entry("FILE", tarfile.LNKTYPE, linkname="x")),
        lambda: io.BytesIO(b"garbage" * 1000),
        lambda: io.BytesIO(b""),
        lambda: io.BytesIO(stream((entry("FILE"), b"x" * 5000)).read()[:3000]),
        lambda: stream((entry("FILE", pax_headers={"a": "x" * (2 << 20)}), b"x")),
        lambda: stream((entry("FILE", pax_headers={"size": "-5"}), b"")),
        lambda: stream(
            (
                entry("FILE", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}),
                b"1\n0\n5\n",
            )
        ),
    ],
)
def test_a_malformed_stream_is_a_typed_error(
    tmp_path: Path, make: Callable[[], io.BytesIO]
) -> None:
    with pytest.raises((errors.GuestProtocolError, tarfile.TarError)):
        tar_read.extract(make(), tmp_path / "t")
    with pytest.raises((errors.GuestProtocolError, tarfile.TarError)):
        tar_relay.relay(make(), io.BytesIO())
    assert not any(name.startswith(".gaovm") for name in os.listdir(tmp_path))


def test_a_broken_transfer_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("old")
    data = stream((entry("FILE"), b"x" * 5000)).read()[:3000]
    with pytest.raises(tarfile.TarError):
        tar_read.extract(io.BytesIO(data), tmp_path / "t")
    assert (tmp_path / "t").read_text() == "old"
    assert os.listdir(tmp_path) == ["t"]


def test_a_directory_in_the_way_is_kept(tmp_path: Path) -> None:
    (tmp_path / "t" / "f").mkdir(parents=True)
    with pytest.raises(errors.HostError):
        tar_read.extract(stream(ROOT, (entry("f"), b"x")), tmp_path / "t")
    assert (tmp_path / "t" / "f").is_dir()


def target(destination: str, name: str | None) -> Path:
    """Return the path of a copy, after checking that the opened place is the same."""
    path, at = copy._target(destination, name)
    held = Path(f"/proc/self/fd/{at.parent}").resolve() / at.name
    os.close(at.parent)
    assert held.resolve() == path.resolve()
    return path


def test_where_a_copy_goes(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").touch()
    root = str(tmp_path)
    assert target(f"{root}/d", "n") == tmp_path / "d" / "n"
    assert target(f"{root}/d/", None) == tmp_path / "d"
    assert target(f"{root}/f", "n") == tmp_path / "f"
    assert target(f"{root}/new", "n") == tmp_path / "new"
    with pytest.raises(errors.HostError, match="not a directory"):
        copy._target(f"{root}/f/", "n")
    with pytest.raises(errors.NotFound):
        copy._target(f"{root}/no/n", "n")
    with pytest.raises(errors.NotFound):
        copy._target(f"{root}/no/", "n")
    assert copy._guest_name("/var/log/") == "log"
    assert [copy._guest_name(p) for p in (".", "/", "~", "a/..", "..")] == [None] * 5
    assert copy._host_name(tmp_path / "d" / "..") == tmp_path.name
    assert copy._host_name(Path("/")) == "root"


def test_a_relayed_tree_is_the_same(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "f").write_bytes(b"\0\xff" * 300_000)
    (tree / "\udcff").touch()
    (tree / "link").symlink_to("deep/f")
    os.mkfifo(tree / "pipe")
    out, again = io.BytesIO(), io.BytesIO()
    tar_write.write(out, tree)
    out.seek(0)
    assert tar_relay.relay(out, again) == []
    out.seek(0)
    again.seek(0)
    with tarfile.open(fileobj=again) as after, tarfile.open(fileobj=out) as before:
        for one, other in zip(before, after, strict=True):
            assert {**one.get_info(), "uname": "", "gname": ""} == other.get_info()
    again.seek(0)
    tar_read.extract(again, tmp_path / "copy")
    assert (tmp_path / "copy" / "deep" / "f").read_bytes() == (tree / "deep" / "f").read_bytes()


@pytest.mark.parametrize(
    "kept",
    [
        entry("s", mode=0o6755),
        entry("u", uid=-5, gid=1 << 40),
        entry("t", pax_headers={"mtime": "nan"}),
        entry("t", mtime=1 << 60),
        entry("h", tarfile.LNKTYPE, linkname="./s"),
    ],
    ids=lambda each: each.name,
)
def test_relayed_attributes_are_limited_to_safe_values(kept: tarfile.TarInfo) -> None:
    out = io.BytesIO()
    tar_relay.relay(stream(ROOT, kept), out)
    out.seek(0)
    with tarfile.open(fileobj=out) as archive:
        _, found = archive.getmembers()
    assert found.mode & 0o7000 == 0
    assert 0 <= found.uid < 1 << 32 and 0 <= found.gid < 1 << 32
    assert 0 <= found.mtime < 1 << 35


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x"])
def test_a_name_outside_the_tree_is_not_relayed(name: str) -> None:
    for bad in (entry(name), entry("h", tarfile.LNKTYPE, linkname=name)):
        out = io.BytesIO()
        with pytest.raises(errors.GuestProtocolError, match="unsafe name"):
            tar_relay.relay(stream(ROOT, bad), out)
        assert out.getvalue() == b""
