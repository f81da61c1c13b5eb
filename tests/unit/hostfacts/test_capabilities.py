from __future__ import annotations

from gaovm.hostfacts import capabilities
from gaovm.model.facts import AcceleratorFact, HostFacts, VirtiofsdFact

PROGRAMS = {"qemu-system-x86_64": "/qemu"}


def qemu(host: HostFacts, *, window: bool = True) -> dict[str, capabilities.Feature]:
    table = {backend.name: backend for backend in capabilities.table(host, window=window)}
    assert [name for name, backend in table.items() if backend.present] == ["qemu"]
    assert all(backend.present or not backend.features for backend in table.values())
    return {feature.name: feature for feature in table["qemu"].features}


def test_a_good_host_has_what_qemu_offers() -> None:
    kvm = AcceleratorFact(name="kvm", usable=True, reason="tried")
    virtiofsd = VirtiofsdFact(path="/v", flavour="rust", usable=True, reason="it runs as any user")
    host = HostFacts(arch="x86_64", programs=PROGRAMS, accelerators=(kvm,), virtiofsd=virtiofsd)
    found = qemu(host)
    assert {name for name, feature in found.items() if feature.offered and not feature.here} == {
        "hvf",
        "aarch64",
    }
    assert found["kvm"].note == "tried"
    assert found["pause"].methods == ("vm.pause", "vm.resume")
    assert (found["snapshot"].offered, found["snapshot"].here) == (False, False)


def test_what_the_host_lacks_is_named() -> None:
    found = qemu(HostFacts(arch="x86_64", programs=PROGRAMS), window=False)
    assert not found["virtiofs"].here and found["virtiofs"].note == "no virtiofsd is installed"
    assert not found["display"].here and "gaovm[desktop]" in found["display"].note
    assert found["screenshot"].here and found["9p"].here
    assert not found["aarch64"].here and "apt-get install" in found["aarch64"].note


def test_without_an_emulator_nothing_works() -> None:
    found = qemu(HostFacts(arch="x86_64"))
    assert not [name for name, feature in found.items() if feature.here]
    assert "apt-get install" in found["pause"].note
