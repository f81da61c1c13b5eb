"""What the cage of a QEMU document contains: only what QEMU uses, and no state directory."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from tests.unit.builder import samples

from gaovm.builder.qemu import build
from gaovm.model.facts import AcceleratorFact, HostFacts
from gaovm.platform.confine.cage import Cage, Ids
from gaovm.spec.shares import Share
from gaovm.vmmanager.qemu import cage

IDS = Ids(1 << 30)


def made(home: Path, *shares: Share, host: HostFacts = samples.HOST, ids: Ids | None = IDS) -> Cage:
    document = build.build(samples.spec(*shares), host, samples.FILES)
    return cage.make(document, cage.Own(home), ids, root=host.root)


def share(path: Path, *, writable: bool = True) -> Share:
    return Share(location=str(path), mount_point="/m", writable=writable, type="9p")


def test_the_cage_has_nothing_of_the_state_directory(tmp_path: Path) -> None:
    found = made(tmp_path)
    assert [bind for bind in found.binds if Path(bind.path).is_relative_to(tmp_path)] == []
    assert not [bind for bind in found.binds if bind.writable]
    assert {bind.path for bind in found.binds if bind.device} == {"/dev/null"}
    assert not [bind for bind in found.binds if bind.path in ("/", "/usr", "/etc", "/usr/bin")]
    assert (found.capabilities, found.owners, found.groups) == (frozenset(), (), ())
    assert found.limits.memory_bytes < 4 << 30
    assert found.limits.cpus == 3


def test_the_cage_has_the_network_only_if_qemu_provides_it(tmp_path: Path) -> None:
    slirp = msgspec.structs.replace(samples.HOST, passt=None)
    assert not made(tmp_path).network
    assert made(tmp_path, host=slirp).network
    resolver = [bind.path for bind in made(tmp_path, host=slirp).binds]
    assert "/etc/resolv.conf" in resolver
    assert "/etc/resolv.conf" not in [bind.path for bind in made(tmp_path).binds]


def test_a_share_keeps_its_path_and_hides_the_state_directory(tmp_path: Path) -> None:
    top, link = tmp_path / "top", tmp_path / "link"
    home = top / "a" / ".gaovm"
    home.mkdir(parents=True)
    link.symlink_to(top)
    found = made(home, share(link))
    [bind] = [bind for bind in found.binds if bind.writable]
    assert (bind.path, bind.source) == (str(link), str(top))
    assert found.hidden == (str(link / "a" / ".gaovm"),)
    assert made(tmp_path / "elsewhere", share(link)).hidden == ()
    assert found.owners == ((os.geteuid(), os.getegid()),)
    assert found.capabilities == {0, 1, 3}
    read_only = made(home, share(top, writable=False))
    assert not [bind for bind in read_only.binds if bind.writable]


def test_a_plain_users_qemu_has_no_ids_and_no_capabilities(tmp_path: Path) -> None:
    found = made(tmp_path, share(tmp_path), host=samples.PLAIN, ids=None)
    assert (found.ids, found.owners, found.capabilities) == (None, (), frozenset())


def test_kvm_is_bound_with_its_group(tmp_path: Path) -> None:
    kvm = AcceleratorFact(name="kvm", usable=True, reason="code ran")
    found = made(tmp_path, host=msgspec.structs.replace(samples.HOST, accelerators=(kvm,)))
    assert "/dev/kvm" in {bind.path for bind in found.binds if bind.device}
    if Path("/dev/kvm").exists():
        assert found.groups == (Path("/dev/kvm").stat().st_gid,)


def test_the_cage_has_the_prefix_of_a_users_own_qemu(tmp_path: Path) -> None:
    program = tmp_path / "opt" / "bin" / "qemu-system-x86_64"
    program.parent.mkdir(parents=True)
    program.write_text("")
    host = msgspec.structs.replace(samples.HOST, programs={"qemu-system-x86_64": str(program)})
    paths = {bind.path for bind in made(tmp_path / "home", host=host).binds if bind.programs}
    assert str(tmp_path / "opt") in paths


def test_a_qemu_that_is_a_link_runs_under_its_own_path(tmp_path: Path) -> None:
    """QEMU looks for its modules beside its own path; Debian's are below /usr/lib."""
    link = tmp_path / "bin" / "qemu-system-x86_64"
    link.parent.mkdir()
    link.symlink_to("/usr/bin/qemu-system-x86_64")
    host = msgspec.structs.replace(samples.HOST, programs={"qemu-system-x86_64": str(link)})
    found = made(tmp_path / "home", host=host)
    real = str(link.resolve())
    assert (str(link), real) in found.links
    assert real in {bind.path for bind in found.binds if bind.programs}
    assert not any(bind.path.startswith(str(tmp_path)) for bind in found.binds)


@pytest.mark.parametrize("of_user", [True, False])
def test_a_qemu_in_a_users_home_brings_nothing_private(
    tmp_path: Path, of_user: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prefix of ``~/bin/qemu`` is the home; another prefix contains the state directory."""
    program = tmp_path / "bin" / "qemu-system-x86_64"
    for path in (program.parent, tmp_path / ".ssh", tmp_path / "share" / "qemu"):
        path.mkdir(parents=True)
    program.write_text("")
    if of_user:
        monkeypatch.setenv("HOME", str(tmp_path))
    host = msgspec.structs.replace(samples.HOST, programs={"qemu-system-x86_64": str(program)})
    home = Path("/absent") if of_user else tmp_path / "state"
    paths = [bind.path for bind in made(home, host=host).binds]
    own = {path for path in paths if Path(path).is_relative_to(tmp_path)}
    assert own == {str(program), str(tmp_path / "share")}


def test_files_in_memory_count_towards_the_memory_limit(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    here = os.statvfs(memory)
    elsewhere = tmp_path / "absent"
    without = made(elsewhere).limits.memory_bytes
    with_it = made(memory).limits.memory_bytes
    assert with_it - without == here.f_blocks * here.f_frsize
    assert made(elsewhere, share(memory)).limits.memory_bytes == with_it
    assert made(elsewhere, share(memory, writable=False)).limits.memory_bytes == without


def test_root_in_a_container_without_other_ids_serves_as_itself(tmp_path: Path) -> None:
    found = made(tmp_path, share(tmp_path), ids=None)
    assert (found.ids, found.owners) == (None, ())
    assert found.capabilities == {0, 1, 3}
    assert made(tmp_path, ids=None).capabilities == frozenset()


def test_the_cache_whose_files_are_those_of_the_state_directory_is_hidden_too(
    tmp_path: Path,
) -> None:
    home, cache_directory = tmp_path / ".gaovm", tmp_path / ".cache" / "gaovm"

    def hidden(where: Path, cached: Path) -> list[str]:
        document = build.build(samples.spec(share(tmp_path)), samples.HOST, samples.FILES)
        [served] = document.shares
        own = cage.Own(where, cached)
        as_server = cage.make_server("/bin/true", served, document, own, IDS, root=True)
        found = cage.make(document, own, IDS, root=True)
        assert found.hidden == as_server.hidden
        return [str(Path(path).relative_to(tmp_path)) for path in found.hidden]

    home.mkdir()
    assert hidden(home, cache_directory) == [".gaovm"]  # the cache does not exist yet
    cache_directory.mkdir(parents=True)
    assert hidden(home, cache_directory) == [".cache/gaovm", ".gaovm"]
    (home / "cache").mkdir()
    assert hidden(home, home / "cache") == [".gaovm"]
    assert hidden(cache_directory / "home", cache_directory) == [".cache/gaovm"]
    assert hidden(home, tmp_path) == [".gaovm"]  # hiding it would hide the share itself
