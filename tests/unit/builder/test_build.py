"""The command line: descriptors, quoting, and how options depend on each other."""

from __future__ import annotations

import json
import re
import shlex

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.builder import samples

from gaovm import errors
from gaovm.builder import network
from gaovm.builder.document import BootFiles, Loader
from gaovm.builder.qemu import build, quoting
from gaovm.builder.qemu.document import Document
from gaovm.model.facts import HostFacts
from gaovm.spec.boot import Boot
from gaovm.spec.processors import Processors
from gaovm.spec.shares import NineP, Share
from gaovm.spec.supervision import OnHang
from gaovm.spec.vm import VmSpec

PATHS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1)


def values(document: Document, option: str) -> list[str]:
    argv = document.argv
    return [argv[i + 1] for i, word in enumerate(argv) if word == option]


def split(text: str) -> list[str]:
    """Split an option string as QEMU does: at single commas; a double comma is text."""
    return [part.replace("\0", ",") for part in text.replace(",,", "\0").split(",")]


@settings(max_examples=60)
@given(PATHS)
def test_any_path_survives_quoting(tail: str) -> None:
    path = "/" + tail
    spec = samples.spec(Share(location=path, mount_point="/m", type="9p"))
    document = build.build(spec, samples.HOST, BootFiles(disk=path, kernel=path, initrd=path))
    assert f"path={path}" in split(values(document, "-fsdev")[0])
    assert {file.fd: file.path for file in document.files} == dict.fromkeys(
        ("kernel", "initrd", "disk"), path
    )
    resolved = document.resolve({name: number for number, name in enumerate(document.fds, 3)})
    assert [a for a, b in zip(document.argv, resolved, strict=True) if a != b] == [
        "/dev/fd/<fd:kernel>",
        "/dev/fd/<fd:initrd>",
        *(f"socket,id={name},fd=<fd:{name}>" for name in ("qmp", "console", "agent")),
        "fd=<fd:disk>,set=1",
        values(document, "-netdev")[0],
    ]


def test_descriptors_are_named_and_resolved() -> None:
    document = build.build(*samples.CASES["q35-tcg-virtiofs"])
    files = ("kernel", "initrd")
    assert document.fds == (*files, "qmp", "console", "agent", "disk", "base", "network", "share0")
    resolved = document.resolve({name: number for number, name in enumerate(document.fds, 7)})
    assert "socket,id=qmp,fd=9" in resolved
    assert "socket,id=share0-socket,fd=15" in resolved
    assert not any("<fd:" in word for word in resolved)


def test_without_a_watchdog_there_is_only_the_panic_device() -> None:
    document = build.build(*samples.CASES["q35-kvm"])
    assert values(document, "-action") == []
    assert [d for d in values(document, "-device") if "pvpanic-pci" in d]
    assert "i6300esb" not in str(document.argv)
    assert "gaovm.watchdog" not in document.kernel_arguments


@pytest.mark.parametrize(
    ("on_hang", "actions"),
    [
        ("restart", "watchdog=none"),
        ("event", "watchdog=none"),
        ("pause", "panic=pause,watchdog=none"),
    ],
)
def test_a_watchdog_only_reports_that_it_fired(on_hang: OnHang, actions: str) -> None:
    document = build.build(samples.watched(on_hang), samples.HOST, samples.FILES)
    assert values(document, "-action") == [actions]
    assert json.loads(values(document, "-device")[-1])["driver"] == "i6300esb"
    assert "gaovm.watchdog=45" in document.kernel_arguments.split()


def test_a_microvm_has_no_watchdog() -> None:
    spec = samples.watched("event", Boot(machine="microvm", accelerator="tcg"))
    with pytest.raises(errors.ConfigError, match="microvm has no watchdog") as caught:
        build.build(spec, samples.HOST, samples.FILES)
    assert caught.value.field == "vmOpts.gaovm.watchdog.device"


def test_a_missing_descriptor_is_a_defect() -> None:
    with pytest.raises(KeyError):
        build.build(*samples.CASES["q35-kvm"]).resolve({})


def test_a_path_that_looks_like_a_placeholder_is_not_replaced() -> None:
    document = build.build(*samples.CASES["q35-odd-paths"])
    resolved = document.resolve(dict(zip(document.fds, range(7, 20), strict=False)))
    assert f"local,id=fs0,path={samples.ODD.replace(',', ',,')}," in " ".join(resolved)


def test_virtiofs_makes_memory_shared_and_9p_does_not() -> None:
    with_fs = build.build(*samples.CASES["q35-tcg-virtiofs"])
    without = build.build(*samples.CASES["q35-tcg-9p-root"])
    backend = json.loads(values(with_fs, "-object")[0])
    assert backend == {
        "qom-type": "memory-backend-memfd",
        "id": "mem",
        "size": 2 << 30,
        "share": True,
    }
    assert values(with_fs, "-machine")[0].endswith("memory-backend=mem")
    assert "memory-backend" not in " ".join(without.argv)
    huge = build.build(*samples.CASES["q35-tcg-virtiofs-huge"])
    assert (huge.memory_file_bytes, with_fs.memory_file_bytes) == (2 << 30, None)
    resolved = huge.resolve({**dict.fromkeys(huge.fds, 7), "memory": 11})
    assert '"mem-path":"/dev/fd/11"' in " ".join(resolved)


def test_9p_depends_on_who_runs_qemu() -> None:
    root = build.build(*samples.CASES["q35-tcg-9p-root"])
    plain = build.build(*samples.CASES["q35-tcg-9p-plain"])
    assert "security_model=passthrough" in split(values(root, "-fsdev")[0])
    assert "readonly=off" in split(values(root, "-fsdev")[0])
    assert "security_model=none" in split(values(plain, "-fsdev")[0])
    assert "readonly=on" in split(values(plain, "-fsdev")[1])


def test_kernel_arguments() -> None:
    spec = msgspec.structs.replace(
        samples.spec(boot=Boot(extra_arguments="quiet loglevel=7\n")),
        image=msgspec.structs.replace(samples.spec().image, kernel_arguments=" a=1\nb=2"),
    )
    files = BootFiles(disk="/d", kernel="/k")
    document = build.build(spec, samples.HOST, files)
    assert values(document, "-append") == [document.kernel_arguments]
    words = document.kernel_arguments.split(" ")
    assert words[0] == "console=ttyS0"
    assert words[-4:] == ["a=1", "b=2", "quiet", "loglevel=7"]
    assert "ip=10.0.2.15::10.0.2.2:255.255.255.0:p:eth0:off:10.0.2.3" in words
    assert "-initrd" not in document.argv


def test_consoles_and_buses_differ_by_machine() -> None:
    arm = build.build(*samples.CASES["virt-tcg"])
    micro = build.build(*samples.CASES["microvm-tcg"])
    assert "console=ttyAMA0" in arm.kernel_arguments
    drivers = [json.loads(device)["driver"] for device in values(micro, "-device")]
    assert {driver for driver in drivers if driver.startswith("virtio-")} == {
        "virtio-serial-device",
        "virtio-blk-device",
        "virtio-net-device",
        "virtio-rng-device",
        "virtio-9p-device",
    }


def test_a_headless_vm_has_no_display_options() -> None:
    text = " ".join(build.build(*samples.CASES["q35-kvm"]).argv)
    assert not re.search(r"-vnc|gpu|keyboard|tablet|tty0", text)


def test_a_display_only_appends_options() -> None:
    plain = build.build(samples.spec(samples.PROJECT), samples.HOST, samples.FILES)
    shown = build.build(*samples.CASES["q35-display"])
    assert shown.kernel_arguments == f"console=tty0 {plain.kernel_arguments}"
    without_kernel = [word for word in shown.argv if "console=" not in word]
    before = [word for word in plain.argv if "console=" not in word]
    assert without_kernel[: len(before)] == before
    added = without_kernel[len(before) :]
    card = json.loads(added[1])
    assert (card["driver"], card["xres"], card["yres"]) == ("virtio-gpu-pci", 1280, 800)
    # QEMU listens nowhere: the driver passes viewers' connections to it
    assert added[-4:-2] == ["-vnc", "none,share=force-shared"]
    assert added[-2:] == ["-add-fd", "fd=<fd:screenshot>,set=9"]


@pytest.mark.parametrize(
    ("boot", "field"),
    [
        (Boot(machine="microvm"), "vmOpts.gaovm.machine"),
        (Boot(kernel="cloud"), "vmOpts.gaovm.kernel"),
    ],
)
def test_a_display_that_the_guest_cannot_drive_is_refused(boot: Boot, field: str) -> None:
    spec = samples.displayed(samples.spec(boot=boot))
    with pytest.raises(errors.ConfigError) as info:
        build.build(spec, samples.HOST, samples.FILES)
    assert info.value.field == field
    assert "graphics.enabled=false" in (info.value.remedy or "")


def test_a_missing_emulator_is_an_error_that_names_the_package() -> None:
    host = msgspec.structs.replace(samples.HOST, programs={})
    with pytest.raises(errors.ProgramMissing) as info:
        build.build(samples.spec(), host, samples.FILES)
    assert info.value.remedy == "apt-get install qemu-system-x86"


def test_the_same_input_gives_the_same_document() -> None:
    case = samples.CASES["q35-odd-paths"]
    assert build.build(*case) == build.build(*case)


def test_addresses_are_stable_and_differ_by_name() -> None:
    assert network.mac("a") == network.mac("a") != network.mac("b")
    assert network.mac("a").startswith("52:54:00:")


@pytest.mark.parametrize("name", sorted(samples.CASES))
def test_explain_is_the_command_line(name: str) -> None:
    document = build.build(*samples.CASES[name])
    lines = document.lines()
    assert tuple(shlex.split("\n".join(lines))) == document.argv
    assert lines[0] == document.argv[0]
    assert "  -nodefaults" in lines


def test_quoting_refuses_text_that_no_option_can_hold() -> None:
    assert quoting.joined("a,b", {"k": "v,w", "on": True, "n": 3}) == "a,,b,k=v,,w,on=on,n=3"
    with pytest.raises(ValueError, match="bad option"):
        quoting.joined("", {"k": "\0"})
    with pytest.raises(ValueError, match="bad option"):
        quoting.joined("", {"k,x": "v"})


def test_the_command_line_names_the_backing_file_of_an_overlay() -> None:
    for name, below in (("q35-kvm", {}), ("q35-odd-paths", {"backing": None})):
        document = build.build(*samples.CASES[name])
        node = json.loads(values(document, "-blockdev")[0])
        assert node["backing"].items() >= {"read-only": True, **below}.items()
        assert node["backing"]["file"]["filename"] == "/dev/fdset/2"


@pytest.mark.parametrize(
    ("memory_mib", "buffer_mib"), [(128, 128), (512, 256), (2048, 1024), (65536, 1024)]
)
def test_the_buffer_for_translated_code_is_bounded(memory_mib: int, buffer_mib: int) -> None:
    spec = samples.spec(memory_bytes=memory_mib << 20)
    document = build.build(spec, samples.HOST, samples.FILES)
    assert values(document, "-accel") == [f"tcg,thread=multi,tb-size={buffer_mib}"]
    assert document.memory_bytes == (memory_mib + buffer_mib) << 20
    kvm = build.build(*samples.CASES["q35-kvm"])
    assert kvm.memory_bytes == 2 << 30


def test_a_microvm_has_room_for_few_disks() -> None:
    boot = Boot(machine="microvm", accelerator="tcg")
    shares = (samples.NINE_P, samples.ODD_9P, samples.ODD_9P)
    with pytest.raises(errors.ConfigError, match="room for 4 additional disks and mounts"):
        build.build(samples.spec(*shares, boot=boot), samples.HOST, samples.WITH_DISKS)
    assert build.build(samples.spec(*shares[:2], boot=boot), samples.HOST, samples.WITH_DISKS)


def modelled(model: str, *, nested: bool = False) -> VmSpec:
    wanted = Processors(count=1, model=model, nested=nested)
    return msgspec.structs.replace(samples.spec(), processors=wanted)


@pytest.mark.parametrize(
    ("host", "model", "used"),
    [
        (samples.HOST, "", "max,erms=off"),
        (samples.HOST, "qemu64,+ssse3", "qemu64,+ssse3"),
        (samples.HOST, "host", "max,erms=off"),
        (samples.HOST, "host,migratable=off", "max,erms=off"),
        (samples.KVM_HOST, "host,migratable=off", "host,migratable=off"),
        (samples.KVM_HOST, "", "host"),
    ],
)
def test_the_configs_cpu_model_is_used(host: HostFacts, model: str, used: str) -> None:
    assert values(build.build(modelled(model), host, samples.FILES), "-cpu") == [used]


def test_nested_virtualization_needs_kvm() -> None:
    spec = modelled("", nested=True)
    assert build.build(spec, samples.KVM_HOST, samples.FILES)
    with pytest.raises(errors.ConfigError, match="needs KVM on x86_64; here tcg runs") as refused:
        build.build(spec, samples.HOST, samples.FILES)
    assert refused.value.field == "nestedVirtualization"
    arm = msgspec.structs.replace(spec, boot=Boot(arch="aarch64"))
    with pytest.raises(errors.ConfigError, match="not for aarch64"):
        build.build(arm, samples.ARM_KVM_HOST, samples.FILES)


def test_an_image_with_a_loader_gets_firmware_and_no_kernel() -> None:
    document = build.build(*samples.CASES["q35-tcg-uefi"])
    assert "-kernel" not in document.argv and "-append" not in document.argv
    assert "-no-reboot" not in document.argv  # shim resets the machine once
    board = split(values(document, "-machine")[0])
    assert "pflash0=firmware" in board and "pflash1=variables" in board
    files = {file.fd: (file.path, file.writable) for file in document.files}
    assert files["firmware"] == ("/f/OVMF_CODE.fd", False)
    assert files["variables"] == ("/g/vms/p-dev/uefi-variables.fd", True)
    assert files["seed"] == ("/g/vms/p-dev/cidata.iso", False)
    assert document.kernel_arguments == ""
    devices = [json.loads(text) for text in values(document, "-device") if text[0] == "{"]
    disks = [(d["drive"], d.get("bootindex")) for d in devices if "drive" in d]
    assert disks == [("root", 0), ("seed", None)]


@pytest.mark.parametrize(
    ("boot", "loader", "field"),
    [
        (Boot(machine="microvm"), "uefi", "vmOpts.gaovm.machine"),
        (Boot(machine="microvm"), "bios", "vmOpts.gaovm.machine"),
        (Boot(arch="aarch64"), "bios", "vmOpts.gaovm.machine"),
        (Boot(extra_arguments="quiet"), "uefi", "vmOpts.gaovm.cmdline"),
    ],
)
def test_what_a_loader_cannot_do_is_refused(boot: Boot, loader: Loader, field: str) -> None:
    files = msgspec.structs.replace(samples.CLOUD, loader=loader)
    with pytest.raises(errors.ConfigError, match="it has an EFI system partition") as caught:
        build.build(samples.spec(boot=boot), samples.UEFI_HOST, files)
    assert caught.value.field == field


def test_debugging_the_agent_needs_no_kernel_argument() -> None:
    spec = samples.spec(boot=Boot(extra_arguments="gaovm.debug=1"))
    assert build.build(spec, samples.UEFI_HOST, samples.CLOUD).kernel_arguments == ""


def test_a_host_without_uefi_is_told_the_package() -> None:
    with pytest.raises(errors.ProgramMissing) as caught:
        build.build(samples.spec(), samples.HOST, samples.CLOUD)
    assert caught.value.remedy == "apt-get install ovmf"


def test_options_of_shares() -> None:
    asked = NineP(security_model="mapped-xattr", msize_bytes=65536, cache="none")
    nine_p = Share(location="/a", mount_point="/a", type="9p", nine_p=asked)
    virtiofs = Share(location="/b", mount_point="/b", type="virtiofs", queue_size=64)
    _, host, artefacts = samples.CASES["q35-tcg-virtiofs"]
    document = build.build(samples.spec(nine_p, virtiofs), host, artefacts)
    options = "trans=virtio,version=9p2000.L,msize=65536,cache=none"
    assert [share.options for share in document.shares] == [options, ""]
    assert "security_model=mapped-xattr" in split(values(document, "-fsdev")[0])
    devices = [json.loads(text) for text in values(document, "-device") if text.startswith("{")]
    assert [each["queue-size"] for each in devices if "queue-size" in each] == [64]


def test_a_share_by_sshfs_is_no_device() -> None:
    _, host, artefacts = samples.CASES["q35-tcg-9p-root"]
    programs = {**host.programs, "sftp-server": "/s"}
    share = Share(location="/a", mount_point="/a", type="reverse-sshfs")
    host = msgspec.structs.replace(host, programs=programs)
    document = build.build(samples.spec(share), host, artefacts)
    assert [each.type for each in document.shares] == ["reverse-sshfs"]
    assert not any("/a" in word for word in document.argv)
    assert document.memory_file_bytes is None
