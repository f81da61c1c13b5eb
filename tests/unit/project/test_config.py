"""From the file to the spec: defaults, every supported field, every kind of problem."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.project.reading import IMAGE, PROJECT, ROOT, load, problem, problems, with_image

from gaovm import errors
from gaovm.project import context, templates
from gaovm.spec import vm
from gaovm.spec.memory import GIB, MIB
from gaovm.spec.portrules import Rule
from gaovm.spec.shares import Share
from gaovm.spec.supervision import Watchdog

FULL = """\
vmType: qemu
arch: default
images:
  - {location: "https://e.org/arm.qcow2", arch: aarch64}
  - location: ~/d.img
    arch: x86_64
    digest: sha256:DIGEST
    kernel: {location: /k, digest: "sha256:DIGEST", cmdline: "a=1 b"}
    initrd: {location: file:///i}
cpus: 3
memory: 1.5GiB
disk: 30G
mounts:
  - location: ~/x
    mountPoint: /mnt/x
  - {location: "/home/ann", writable: true}
mountType: 9p
env: {A: 1, B: "two words", C: yes, D: null, E: 0644}
user: {name: bob, uid: 1234, comment: "Bob", shell: /bin/sh, home: "/h/{{.User}}-{{.UID}}"}
provision:
  - {mode: system, script: "echo {{.Home}} {{.Name}} {{.Names}}"}
  - {mode: user, script: "true"}
probes:
  - {mode: readiness, description: d, script: "#!/bin/sh", hint: h}
  - {script: "#!/bin/sh"}
portForwards:
  - {guestPort: 80, hostPort: 8080, hostIP: 0.0.0.0, guestIP: "::", proto: tcp}
  - {guestPort: 81, hostPort: 0}
  - {guestPort: 82}
message: "see {{.Dir}} of {{.Name}} {{.Other}}"
vmOpts: {gaovm: {accel: tcg, machine: microvm, kernel: cloud}}
""".replace("DIGEST", "ab" * 32)


def test_the_smallest_file_gets_laptop_defaults() -> None:
    loaded = load(IMAGE)
    spec = loaded.spec
    assert loaded.warnings == ()
    assert (spec.processors.count, spec.memory.size_bytes) == (2, 2 * GIB)
    assert (spec.disk.size_bytes, spec.image.location) == (20 * GIB, "debian:12")
    assert (spec.boot.arch, spec.boot.machine, spec.boot.accelerator) == ("x86_64", "auto", "auto")
    user = spec.guest.user
    assert (user.name, user.uid, user.gid, user.home) == ("ann", 1000, 1001, "/home/ann.guest")
    assert (user.shell, user.comment) == ("/bin/bash", "Ann Example")
    assert spec.shares == (Share(location=PROJECT, mount_point=PROJECT, writable=True),)
    assert spec.guest.hostname == "p-dev"


def test_every_supported_field_reaches_the_spec() -> None:
    loaded = load(FULL)
    spec = loaded.spec
    assert (spec.image.location, spec.image.digest) == ("/home/ann/d.img", "sha256:" + "ab" * 32)
    assert spec.image.kernel is not None and spec.image.kernel.location == "/k"
    assert spec.image.initrd is not None and spec.image.initrd.location == "file:///i"
    assert spec.image.kernel_arguments == "a=1 b"
    assert spec.processors.count == 3
    assert spec.memory.size_bytes == 1536 * MIB
    assert spec.disk.size_bytes == 30 * GIB
    assert spec.shares == (
        Share(
            location="/home/ann/x",
            mount_point="/mnt/x",
            type="9p",
            field="mounts[0].location",
        ),
        Share(
            location="/home/ann",
            mount_point="/home/ann",
            writable=True,
            type="9p",
            field="mounts[1].location",
        ),
    )
    assert spec.guest.env == {"A": "1", "B": "two words", "C": "yes", "D": "", "E": "0644"}
    user = spec.guest.user
    assert (user.name, user.uid, user.gid, user.home) == ("bob", 1234, 1234, "/h/bob-1234")
    assert (user.shell, user.comment) == ("/bin/sh", "Bob")
    scripts = [(s.name, s.mode, s.script) for s in spec.guest.provision]
    assert scripts == [
        ("provision[0]", "system", "echo /h/bob-1234 p-dev {{.Names}}"),
        ("provision[1]", "user", "true"),
    ]
    probes = [(p.description, p.hint) for p in spec.guest.probes]
    assert probes == [("d", "h"), ("user probe 2/2", "")]
    assert spec.network.ports == ()
    assert [rule for rule in spec.network.rules if rule.field] == [
        Rule(
            80, 80, "::", field="portForwards[0]", proto="tcp", host_ip="0.0.0.0", host_first=8080
        ),
        Rule(81, 81, host_first=0, field="portForwards[1]"),
        Rule(82, 82, field="portForwards[2]"),
    ]
    assert spec.message == "see /g/vms/p-dev of p-dev {{.Other}}"
    boot = spec.boot
    assert (boot.machine, boot.accelerator, boot.kernel) == ("microvm", "tcg", "cloud")
    assert [w.split(": ")[1] for w in loaded.warnings] == ["message"]


def test_the_watchdog() -> None:
    assert load(IMAGE).spec.supervision.watchdog == Watchdog()
    assert not Watchdog().device
    words = "device: true, timeout: 45s, heartbeat: false, onHang: pause"
    loaded = load(f"{IMAGE}\nvmOpts: {{gaovm: {{watchdog: {{{words}}}}}}}\n")
    found = loaded.spec.supervision.watchdog
    assert found == Watchdog(device=True, timeout_s=45, heartbeat=False, on_hang="pause")
    assert loaded.warnings == ()


@pytest.mark.parametrize("text", [IMAGE, FULL])
def test_a_loaded_spec_fits_the_spec_s_own_bounds(text: str) -> None:
    spec = load(text).spec
    assert msgspec.convert(vm.to_builtins(spec), vm.VmSpec) == spec


def test_all_problems_are_reported_at_once_in_the_files_order() -> None:
    found = problems("cpus: four\nmemroy: 1GiB\nmemory: 8\nimages: []\nmounts: {a: 1}\n")
    assert found == [
        "1 cpus: expected a whole number, found `four`",
        "2 memroy: unknown field; did you mean `memory`?",
        "3 memory: size with no unit: found `8`, expected a number with a unit, "
        "such as 8GiB or 512MiB",
        "4 images: must be set",
        "5 mounts: expected a list, found a mapping",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cpus: 0", "1 cpus: expected a number from 1 to 256, found 0"),
        ('cpus: "2"', '1 cpus: expected a whole number, found `"2"`'),
        ("cpus: 02", "1 cpus: expected a whole number, found `02`"),
        ("memory: 4MiB", "1 memory: expected 128MiB to 16TiB, found 4MiB"),
        ("memory: lots", "1 memory: has an invalid value: invalid size: 'lots'"),
        ("disk: 10 gigs", "1 disk: has an invalid value: invalid size: '10 gigs'"),
        ("disk: [1]", "1 disk: expected a text, found a list"),
        ("vmType: krunkit", "1 vmType: krunkit is not supported; use qemu"),
        ("arch: riscv64", "1 arch: expected one of x86_64, aarch64; found `riscv64`"),
        ("mountType: wsl2", "1 mountType: wsl2 is not supported; use 9p"),
        ("mounts: [{location: rel}]", "1 mounts[0].location: must be an absolute path, got `rel`"),
        ("mounts:\n- writable: true", "2 mounts[0].location: must be set"),
        (
            "mounts: [{location: /a, writable: yes}]",
            "1 mounts[0].writable: expected true or false, found `yes`",
        ),
        ("mounts: [{location: /a}, {location: /a/}]", "1 mounts[1].mountPoint: a second mount"),
        ("mounts: [{location: /etc}]", "1 mounts[0].mountPoint: /etc is a system directory"),
        ("mounts: [{location: '{{.Nope}}/x'}]", "1 mounts[0].location: unknown variable"),
        ("mounts: [null]", "1 mounts[0]: expected a value, found nothing"),
        ("portForwards: [{guestPort: 70000}]", "1 portForwards[0].guestPort: must be < 65536"),
        ("portForwards: [{hostPort: 1}]", "1 portForwards[0].guestPort: must be set"),
        (
            "portForwards: [{guestPort: 1, hostPort: 9}, {guestPort: 2, hostPort: 9}]",
            "1 portForwards[1].hostPort: host port 9 is forwarded twice",
        ),
        (
            "portForwards: [{guestPort: 1, hostIP: here}]",
            "1 portForwards[0].hostIP: expected an IP address, found `here`",
        ),
        (
            "portForwards: [{guestPort: 1, proto: x}]",
            "1 portForwards[0].proto: must be `tcp`, `udp`",
        ),
        ("provision: [{mode: maybe, script: a}]", "1 provision[0].mode: must one of `system`"),
        ("provision: [{mode: user}]", "1 provision[0].script: must not be empty"),
        ("provision: [{mode: data, content: x}]", "1 provision[0].path: must not be empty when"),
        ("probes: [{script: 'true'}]", "1 probes[0].script: must start with a '#!' line"),
        ("env: {1A: x}", "1 env.1A: expected the name of an environment variable"),
        ("env: {A: [1]}", "1 env.A: expected a text, found a list"),
        ("user: {name: 'a b'}", "1 user.name: expected a user name"),
        ("user: {uid: 0}", "1 user: uid 0 and the name root belong together"),
        ("user: {shell: sh}", "1 user.shell: expected an absolute path"),
        ("user: {home: '{{.X}}'}", "1 user.home: "),
        ("ssh: {localPort: 1, port: 2}", "1 ssh.port: unknown field"),
        (
            "vmOpts: {gaovm: {acel: kvm}}",
            "1 vmOpts.gaovm.acel: unknown field; did you mean",
        ),
        ("vmOpts: {gaovm: {accel: xen}}", "1 vmOpts.gaovm.accel: expected one of"),
        ("vmOpts: {gaovm: {machine: virt}}", "1 vmOpts.gaovm.machine: machine virt needs arch"),
        (
            "vmOpts: {gaovm: {watchdog: {timeout: 4}}}",
            "1 vmOpts.gaovm.watchdog.timeout: expected w",
        ),
        ("vmOpts: {gaovm: {watchdog: {onHang: stop}}}", "1 vmOpts.gaovm.watchdog.onHang: expected"),
        ("vmOpts: {gaovm: {watchdog: {dev: true}}}", "1 vmOpts.gaovm.watchdog.dev: unknown field"),
        (
            "vmOpts: {gaovm: {machine: microvm, watchdog: {device: true}}}",
            "1 vmOpts.gaovm.watchdog.device: machine microvm has no watchdog",
        ),
        ("os: Windows", "1 os: only Linux guests are supported, found Windows"),
    ],
)
def test_problem(text: str, expected: str) -> None:
    assert problems(with_image(text))[0].startswith(expected)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{arch: x86_64}", "images[0].location: must be set"),
        ("{location: debian}", "images[0].location: expected a name such as debian:12"),
        ("{location: ftp://h/x}", "images[0].location: expected a name"),
        (
            "{location: /x, digest: md5:00}",
            "images[0].digest: is invalid: md5:00: unsupported digest algorithm",
        ),
        (
            "{location: /x, digest: sha256:00}",
            "images[0].digest: is invalid: sha256:00: invalid checksum digest length",
        ),
        (
            "{location: /x, arch: aarch64}",
            "images: no image for arch x86_64; ",
        ),
        ("{location: /x, initrd: {location: /i}}", "images[0].initrd: an initrd needs a kernel"),
        ("{location: /x, kernel: {}}", "images[0].kernel.location: must be set"),
        (
            "{location: /x, kernel: {location: k}}",
            "images[0].kernel.location: expected a path",
        ),
        ('{location: /x, kernel: {location: /k, cmdline: "a\\nb"}}', "images[0].kernel.cmdline: "),
        ("/x", "images[0]: expected a mapping"),
    ],
)
def test_image_problem(entry: str, expected: str) -> None:
    assert problem(f"images: [{entry}]\n").startswith(f"1 {expected}")


def test_unsupported_fields_are_named() -> None:
    text = (
        "ssh: {localPort: 1}\ncontainerd: {user: true}\nplain: null\ntpm: false\n"
        "provision: [{mode: ansible, playbook: a}]\nvmOpts: {vz: {diskImageFormat: raw}}\n"
        "mounts: [{location: /a, sshfs: {cache: false}}]\nvmType: vz\nmountType: reverse-sshfs\n"
    )
    loaded = load(with_image(text))
    names = [warning.split(": ")[1] for warning in loaded.warnings]
    assert set(names) == {
        "ssh.localPort",
        "containerd",
        "vmType",
        "provision[0].mode",
        "vmOpts.vz",
    }
    why = (
        "GaoVM downloads no containerd (`false` is its default); a provision script can install one"
        "; it has no effect"
    )
    assert f"c.yaml:2: containerd: {why}" in loaded.warnings
    assert loaded.spec.network.ports == ()
    assert loaded.spec.guest.provision == ()


def test_root_stays_root() -> None:
    user = load(IMAGE, ROOT).spec.guest.user
    assert (user.name, user.uid, user.gid, user.home) == ("root", 0, 0, "/root")


def test_root_may_name_another_user() -> None:
    user = load(with_image("user: {name: bob}"), ROOT).spec.guest.user
    assert (user.name, user.uid, user.gid, user.home) == ("bob", 1000, 1000, "/home/bob.guest")


def test_a_caller_whose_name_cannot_exist_in_the_guest() -> None:
    loaded = load(IMAGE, context.Caller("DOM\\ann", 1000, 1000, "/home/ann"))
    assert loaded.spec.guest.user.name == "lima"
    assert "user.name" in loaded.warnings[0]


@pytest.mark.parametrize(
    ("mounts", "count"),
    [
        ("[]", 1),
        ("[{location: /home/ann/p}]", 1),
        ("[{location: /home/ann}]", 1),
        ("[{location: /home/ann/pp}]", 2),
        ("[{location: /home/ann/p/sub}]", 2),
        ("[{location: /home/ann, mountPoint: /mnt}]", 1),
    ],
)
def test_the_project_is_mounted_unless_a_mount_covers_it(mounts: str, count: int) -> None:
    shares = load(with_image(f"mounts: {mounts}")).spec.shares
    assert len(shares) == count
    outer = [share.mount_point.count("/") for share in shares]
    assert outer == sorted(outer)


def test_a_project_in_a_system_directory_needs_a_mount_point() -> None:
    assert "system directory" in problems(IMAGE, project="/tmp")[0]
    assert problems(with_image("mounts: [{location: /tmp, mountPoint: /x}]"), project="/tmp") == []


def test_the_first_image_of_the_architecture_wins() -> None:
    text = "images: [{location: /x, arch: x86_64}, {location: /a, arch: aarch64}, {location: /b}]\n"
    assert load(text).spec.image.location == "/x"
    assert load(text, arch="aarch64").spec.image.location == "/a"
    assert load("arch: aarch64\n" + text).spec.image.location == "/a"


@pytest.mark.parametrize("location", ["/", "//", "/x/.."])
def test_the_root_of_the_host_is_no_mount(location: str) -> None:
    found = problems(with_image(f"mounts: [{{location: {location}, mountPoint: /mnt}}]"))
    assert len(found) == 1 and "the whole host" in found[0]


def test_too_many_mounts() -> None:
    entries = ", ".join(f"{{location: /a{i}}}" for i in range(25))
    assert "at most 20 mounts" in problems(with_image(f"mounts: [{entries}]"))[0]


@pytest.mark.parametrize("name", templates.NAMES)
@pytest.mark.parametrize(
    "project",
    ["/home/ann/p", "/srv/my app", "/srv/a \"b\" \\ 'c': # d", "/srv/ünï-🚀", "/srv/a\nb\tc"],
)
def test_a_template_loads_for_any_directory(name: str, project: str) -> None:
    text = templates.render(templates.read(name), project, project.rpartition("/")[2])
    if project.isprintable():
        loaded = load(text, project=project)
        assert [line for line in loaded.warnings if "Socket" not in line] == []
        assert [share.location for share in loaded.spec.shares] == [project]
        assert all(rule.host_first == 0 for rule in loaded.spec.network.rules if rule.field)
    else:
        assert "control character" in problems(text, project=project)[0]


def test_templates() -> None:
    for name in templates.NAMES:
        assert "{{PROJECT_NAME}}" in templates.read(name)
        written = templates.render(templates.read(name), "/home/ann/secret/web", "web")
        assert "/home" not in written, "a file for the repository must name no one's home directory"
    rendered = templates.render('a: "{{PROJECT_DIR}}"\n', '/srv/a "b"', "p")
    assert rendered == 'a: "/srv/a \\"b\\""\n', "a template that asks for the directory must get it"
    with pytest.raises(errors.UsageError) as info:
        templates.read("../../x")
    assert info.value.remedy == f"use one of: {', '.join(templates.NAMES)}"


def test_a_machine_of_another_architecture() -> None:
    text = "arch: aarch64\nvmOpts: {gaovm: {machine: q35}}\nimages: [{location: /x}]\n"
    assert problem(text) == "2 vmOpts.gaovm.machine: machine q35 needs arch x86_64"


def test_too_many_rules() -> None:
    rules = ", ".join(f"{{guestPort: {port}}}" for port in range(1, 300))
    assert "more than 256 rules" in problem(with_image(f"portForwards: [{rules}]"))


def test_a_text_that_no_guest_file_can_hold() -> None:
    assert "line break" in problem(with_image('env: {A: "1\\n2"}'))
    assert "colon" in problem(with_image("user: {home: /a:b}"))
    assert "control character" in problem(with_image('mounts: [{location: "/a\\n"}]'))


def test_a_field_that_asks_for_nothing_gives_no_warning() -> None:
    text = (
        "os: Linux\ncontainerd: {system: false, user: false, archives: []}\nplain: false\n"
        "ssh: {localPort: 0, forwardAgent: false}\npropagateProxyEnv: true\ntimezone: ''\n"
        "hostResolver: {enabled: true, ipv6: false, hosts: {}}\nmountInotify: false\n"
    )
    assert load(with_image(text)).warnings == ()
    for text in ("containerd: {user: true}", "ssh: {overVsock: true}", "tpm: true"):
        assert len(load(with_image(text)).warnings) == 1


@pytest.mark.parametrize(
    ("unsupported", "kind"),
    [("[]", "auto"), ("[9p]", "virtiofs"), ("[virtiofs]", "9p"), ("[9p, virtiofs]", "auto")],
)
def test_what_the_image_cannot_mount_is_not_chosen(unsupported: str, kind: str) -> None:
    spec = load(with_image(f"mountTypesUnsupported: {unsupported}")).spec
    assert spec.shares[0].type == kind
