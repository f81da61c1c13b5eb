"""The choices that the builder makes where the spec leaves them open, and what it refuses."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.builder import samples

from gaovm import errors
from gaovm.builder import choices, packages
from gaovm.builder.qemu import machine, network
from gaovm.model.facts import VirtiofsdFact


def test_auto_chooses_a_working_accelerator_with_the_reason() -> None:
    choice = choices.choose_accelerator("auto", "x86_64", samples.KVM_HOST)
    assert (choice.name, choice.reason) == ("kvm", samples.KVM.reason)


def test_auto_falls_back_to_tcg_with_the_reason() -> None:
    choice = choices.choose_accelerator("auto", "x86_64", samples.HOST)
    assert (choice.name, choice.reason) == ("tcg", samples.NO_KVM.reason)


def test_a_foreign_architecture_is_emulated() -> None:
    choice = choices.choose_accelerator("auto", "aarch64", samples.KVM_HOST)
    assert choice.name == "tcg"
    assert "aarch64" in choice.reason


def test_tcg_can_be_requested() -> None:
    assert choices.choose_accelerator("tcg", "x86_64", samples.KVM_HOST).name == "tcg"


@pytest.mark.parametrize("name", ["kvm", "hvf"])
def test_a_requested_accelerator_that_is_unusable_is_an_error(name: str) -> None:
    with pytest.raises(errors.AcceleratorUnavailable) as info:
        choices.choose_accelerator(name, "x86_64", samples.HOST)  # type: ignore[arg-type]
    assert info.value.field == "vmOpts.gaovm.accel"
    assert "tcg" in (info.value.remedy or "")


def test_machines() -> None:
    assert machine.choose("auto", "x86_64").name == "q35"
    assert machine.choose("auto", "aarch64").name == "virt"
    assert machine.choose("microvm", "x86_64").name == "microvm"
    with pytest.raises(errors.ConfigError, match="virt does not exist for x86_64"):
        machine.choose("virt", "x86_64")


def test_shares_use_virtiofs_where_it_is_usable() -> None:
    assert choices.choose_share("auto", samples.HOST).name == "virtiofs"
    assert choices.choose_share("virtiofs", samples.HOST).name == "virtiofs"
    assert choices.choose_share("9p", samples.HOST).name == "9p"


def test_shares_fall_back_to_9p_with_the_reason() -> None:
    assert choices.choose_share("auto", samples.PLAIN).reason == samples.C_PLAIN.reason
    assert "no virtiofsd" in choices.choose_share("auto", samples.ARM_KVM_HOST).reason


def test_the_newer_virtiofsd_is_used_only_on_request() -> None:
    newer = VirtiofsdFact(path="/v", flavour="rust", usable=True, reason="it runs as any user")
    host = msgspec.structs.replace(samples.HOST, virtiofsd=newer)
    chosen = choices.choose_share("auto", host)
    assert chosen.name == "9p" and "/v" in chosen.reason
    assert choices.choose_share("virtiofs", host).name == "virtiofs"


def test_requested_virtiofs_that_cannot_work_is_an_error_with_a_remedy() -> None:
    with pytest.raises(errors.PermissionMissing) as denied:
        choices.choose_share("virtiofs", samples.PLAIN)
    with pytest.raises(errors.ProgramMissing) as missing:
        choices.choose_share("virtiofs", samples.ARM_KVM_HOST)
    assert "9p" in (denied.value.remedy or "")
    assert "apt-get install" in (missing.value.remedy or "")


def test_the_network_uses_passt_where_it_is_usable() -> None:
    assert network.choose(samples.HOST).name == "passt"
    missing = network.choose(samples.PLAIN)
    assert (missing.name, "apt-get install passt" in missing.reason) == ("slirp", True)
    unusable = msgspec.structs.replace(samples.PASST, usable=False, reason="no namespaces")
    host = msgspec.structs.replace(samples.HOST, passt=unusable)
    assert network.choose(host) == choices.Choice(name="slirp", reason="no namespaces")


def test_a_missing_program_names_its_package() -> None:
    error = packages.missing("qemu-img")
    assert error.remedy == "apt-get install qemu-utils"


def test_a_share_by_sshfs_needs_a_server_on_the_host() -> None:
    with pytest.raises(errors.ProgramMissing) as missing:
        choices.choose_share("reverse-sshfs", samples.HOST)
    assert missing.value.remedy == "apt-get install openssh-sftp-server, or use 9p"
    programs = {**samples.HOST.programs, "sftp-server": "/s"}
    host = msgspec.structs.replace(samples.HOST, programs=programs)
    assert choices.choose_share("reverse-sshfs", host).name == "reverse-sshfs"
