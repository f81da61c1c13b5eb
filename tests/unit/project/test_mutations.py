"""Files with one mistake each: the place, the field, what to do, and exit 2."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from tests.unit.project.reading import PROJECT, Files, load

from gaovm import errors
from gaovm.project import schema

GOOD = """\
minimumLimaVersion: 2.0.0
os: Linux
arch: x86_64
vmType: qemu
images:
- location: /images/disk.img
  arch: x86_64
  digest: sha256:DIGEST
cpus: 2
memory: 2GiB
disk: 20GiB
mountType: 9p
mounts:
- location: ~/data
  mountPoint: /mnt/data
  writable: true
env:
  EDITOR: vi
param:
  level: info
provision:
- mode: system
  script: echo $PARAM_level
- mode: user
  script: echo
probes:
- script: "#!/bin/sh"
portForwards:
- guestPort: 80
  hostPort: 8080
  proto: tcp
- guestPort: 81
  hostPort: 8081
user:
  name: bob
  uid: 1234
additionalDisks:
- name: data
networks:
- lima: user-v2
  interface: lima0
copyToHost:
- guest: /etc/x
  host: /tmp/x
ssh:
  localPort: 0
containerd:
  user: false
vmOpts:
  gaovm:
    accel: tcg
message: hello
""".replace("DIGEST", "ab" * 32)
LINES = GOOD.splitlines()


class Mistake(NamedTuple):
    """A line of the good file in a wrong form, and the field that is then wrong."""

    line: str
    wrong: str
    path: str

    def text(self) -> str:
        """The whole file."""
        at = LINES.index(self.line)
        return "\n".join([*LINES[:at], self.wrong, *LINES[at + 1 :]]) + "\n"


def mistakes(text: str) -> list[Mistake]:
    found = []
    for row in text.strip().splitlines():
        line, wrong, path = (cell.strip("|") for cell in re.split(r" +=> +", row.strip()))
        found.append(Mistake(line, wrong.replace("\\n", "\n"), path))
    return found


#: LINE => WRONG => PATH; bars keep blanks at the ends.
TABLE = mistakes(
    r"""
minimumLimaVersion: 2.0.0 => minimumLimaVersion: latest => minimumLimaVersion
minimumLimaVersion: 2.0.0 => minimumLimaVersion: 99.0.0 => minimumLimaVersion
minimumLimaVersion: 2.0.0 => minimumLimaVersion: [2, 0] => minimumLimaVersion
minimumLimaVersion: 2.0.0 => minimumLimaVersoin: 2.0.0 => minimumLimaVersoin
os: Linux => os: Windows => os
os: Linux => os: linux => os
os: Linux => os: {} => os
arch: x86_64 => arch: amd64 => arch
arch: x86_64 => arch: riscv64 => arch
vmType: qemu => vmType: krunkit => vmType
vmType: qemu => vmType: wsl2 => vmType
images: => image: => image
|- location: /images/disk.img| => |- location: disk.img| => images[0].location
|- location: /images/disk.img| => |- location: ftp://e.org/x| => images[0].location
|- location: /images/disk.img| => |- locaton: /images/disk.img| => images[0].locaton
|- location: /images/disk.img| => |- location: [/a]| => images[0].location
|- location: /images/disk.img| => |- location: ''| => images[0].location
|  digest: sha256:DIGEST| => |  digest: md5:00| => images[0].digest
|  digest: sha256:DIGEST| => |  digest: sha256:00| => images[0].digest
|  digest: sha256:DIGEST| => |  digest: abcdef| => images[0].digest
|  digest: sha256:DIGEST| => |  digset: x| => images[0].digset
cpus: 2 => cpus: two => cpus
cpus: 2 => cpus: 0 => cpus
cpus: 2 => cpus: -1 => cpus
cpus: 2 => cpus: 1.5 => cpus
cpus: 2 => cpus: "2" => cpus
cpus: 2 => cpus: 100000 => cpus
cpus: 2 => cpus: [2] => cpus
memory: 2GiB => memory: 2 => memory
memory: 2GiB => memory: 2 gigs => memory
memory: 2GiB => memory: 1KiB => memory
memory: 2GiB => memory: -2GiB => memory
memory: 2GiB => memory: {min: 1GiB} => memory
disk: 20GiB => disk: big => disk
disk: 20GiB => disk: 20 => disk
disk: 20GiB => disk: 900PiB => disk
mountType: 9p => mountType: nfs => mountType
mountType: 9p => mountType: wsl2 => mountType
mountType: 9p => mountType: 9p\nmountTypesUnsupported: [9p] => mountType
|- location: ~/data| => |- location: data| => mounts[0].location
|- location: ~/data| => |- location: /| => mounts[0].location
|- location: ~/data| => |- location: "{{.Nope}}/x"| => mounts[0].location
|- location: ~/data| => |- location: ~bob/x| => mounts[0].location
|- location: ~/data| => |- location: "/a\u0007"| => mounts[0].location
|- location: ~/data| => |- location: ~/data\n  sshfs: true| => mounts[0].sshfs
|- location: ~/data| => |- location: /b\n- location: /b\n- location: ~/data| => mounts[1].mountPoint
|  mountPoint: /mnt/data| => |  mountPoint: /etc| => mounts[0].mountPoint
|  mountPoint: /mnt/data| => |  mountPoint: data| => mounts[0].mountPoint
|  mountPoint: /mnt/data| => |  mountpoint: /mnt/data| => mounts[0].mountpoint
|  writable: true| => |  writable: yes| => mounts[0].writable
|  writable: true| => |  writable: "true"| => mounts[0].writable
|  writable: true| => |  writable: 1| => mounts[0].writable
|  writable: true| => |  writable: true\n  9p: {msize: lots}| => mounts[0].9p.msize
|  EDITOR: vi| => |  1EDITOR: vi| => env.1EDITOR
|  EDITOR: vi| => |  EDITOR: [vi]| => env.EDITOR
|  EDITOR: vi| => |  EDITOR: "v\u000ai"| => env.EDITOR
|  EDITOR: vi| => |  EDITOR: vi\n  EDITOR: ed| => env.EDITOR
|  level: info| => |  level: info\n  unused: 1| => param.unused
|  level: info| => |  level: "\u0007"| => param.level
|  level: info| => |  level: {a: b}| => param.level
|- mode: system| => |- mode: root| => provision[0].mode
|- mode: system| => |- mode: data| => provision[0].path
|- mode: system| => |- mode: yq\n  path: /x| => provision[0].expression
|- mode: system| => |- mode: yq\n  path: x\n  expression: .| => provision[0].path
|- mode: system| => |- mode: system\n  owner: root| => provision[0].owner
|- mode: system| => |- mode: system\n  playbook: x| => provision[0].playbook
|- mode: system| => |- mode: system\n  file: x.sh| => provision[0].file
|- mode: user| => |- mode: user\n  overwrite: true| => provision[1].overwrite
|  script: echo| => |  script: ''| => provision[1].script
|  script: echo| => |  script: [echo]| => provision[1].script
|  script: echo| => |  scirpt: echo| => provision[1].scirpt
|  script: echo| => |  file: none.sh| => provision[1].file
|  script: echo| => |  file: {url: none.sh, hash: x}| => provision[1].file.hash
|- script: "#!/bin/sh"| => |- script: echo| => probes[0].script
|- script: "#!/bin/sh"| => |- mode: liveness\n  script: "#!/bin/sh"| => probes[0].mode
|- guestPort: 80| => |- guestPort: 70000| => portForwards[0].guestPort
|- guestPort: 80| => |- guestPort: -1| => portForwards[0].guestPort
|- guestPort: 80| => |- guestPort: http| => portForwards[0].guestPort
|- guestPort: 80| => |- guestPortRange: [90, 80]| => portForwards[0].guestPortRange[1]
|- guestPort: 80| => |- guestPortRange: [80]| => portForwards[0].guestPortRange
|- guestPort: 80| => |- guestPortRange: [80, 99]| => portForwards[0].hostPortRange
|- guestPort: 80| => |- guestPort: 80\n  guestSocket: /x| => portForwards[0].guestPort
|- guestPort: 80| => |- guestSocket: x| => portForwards[0].guestSocket
|- guestPort: 80| => |- guestPort: 80\n  guestIP: here| => portForwards[0].guestIP
|  proto: tcp| => |  guestIP: ::1\n  guestIPMustBeZero: true| => portForwards[0].guestIPMustBeZero
|- guestPort: 80| => |- guestPort: 80\n  reverse: true| => portForwards[0].reverse
|  hostPort: 8080| => |  hostPort: 65536| => portForwards[0].hostPort
|  hostPort: 8080| => |  hostPort: 80.5| => portForwards[0].hostPort
|  hostPort: 8080| => |  hostIP: 1.2.3| => portForwards[0].hostIP
|  hostPort: 8081| => |  hostPort: 8080| => portForwards[1].hostPort
|  proto: tcp| => |  proto: icmp| => portForwards[0].proto
|  name: bob| => |  name: Bob Smith| => user.name
|  name: bob| => |  name: root| => user
|  uid: 1234| => |  uid: 0| => user
|  uid: 1234| => |  uid: -5| => user.uid
|  uid: 1234| => |  uid: 1234\n  shell: bash| => user.shell
|  uid: 1234| => |  uid: 1234\n  home: /a:b| => user.home
|- name: data| => |- name: ''| => additionalDisks[0].name
|- name: data| => |- name: a/b| => additionalDisks[0].name
|- name: data| => |- name: data\n  format: ext4| => additionalDisks[0].format
|- lima: user-v2| => |- socket: /x\n  lima: y| => networks[0].lima
|- lima: user-v2| => |- metric: 100| => networks[0]
|  interface: lima0| => |  interface: this-name-is-too-long| => networks[0].interface
|  interface: lima0| => |  interface: eth0| => networks[0].interface
|  interface: lima0| => |  interface: lima0\n  macAddress: 52:55| => networks[0].macAddress
|- guest: /etc/x| => |- guest: etc/x| => copyToHost[0].guest
|  host: /tmp/x| => |  host: x| => copyToHost[0].host
|  localPort: 0| => |  localPort: 70000| => ssh.localPort
|  localPort: 0| => |  localPort: 0\n  forwardAgents: true| => ssh.forwardAgents
|  user: false| => |  user: no| => containerd.user
|    accel: tcg| => |    accel: xen| => vmOpts.gaovm.accel
|    accel: tcg| => |    acell: tcg| => vmOpts.gaovm.acell
|    accel: tcg| => |    accel: tcg\n    machine: virt| => vmOpts.gaovm.machine
|    accel: tcg| => |    watchdog: {timeout: 1s}| => vmOpts.gaovm.watchdog.timeout
|    accel: tcg| => |    stop: {grace: soon}| => vmOpts.gaovm.stop.grace
message: hello => message: hello\ndns: [1.1.1.1] => dns
message: hello => message: [hello] => message
message: hello => mesage: hello => mesage
message: hello => message: hello\nmessage: again => message
message: hello => message: hello\nbase: missing.yaml => base
message: hello => message: hello\nbase: [own.yaml] => base
message: hello => message: hello\nbase: https://e.org/x.yaml => base
message: hello => message: hello\nbase: {url: good.yaml, digest: "sha256:00"} => base.url
message: hello => message: hello\nbase: [good.yaml, good.yaml] => base[1]
|  digest: sha256:DIGEST| => |  digest: sha256:ZIGEST| => images[0].digest
|  arch: x86_64| => |  kernel: {location: /k, arch: s390x}\n  arch: x86_64| => images[0].kernel.arch
|- guestPort: 80| => |- guestPort: 80\n  guestPortRange: [81, 81]| => portForwards[0].guestPort
|- guestPort: 80| => |- guestSocket: /a\n  hostPortRange: [1, 2]| => portForwards[0].guestSocket
|  hostPort: 8080| => |  hostPortRange: [0, 0]| => portForwards[0].hostPortRange[0]
|  hostPort: 8080| => |  hostPortRange: [1, 70000]| => portForwards[0].hostPortRange[1]
|  hostPort: 8080| => |  hostSocket: LONG| => portForwards[0].hostSocket
|- mode: system| => |- mode: data\n  path: /x\n  permissions: rwx| => provision[0].permissions
|- name: data| => |- name: LONG| => additionalDisks[0].name
|  interface: lima0| => |  interface: a b| => networks[0].interface
|  interface: lima0| => |  interface: lima0\n- lima: a\n  interface: lima0| => networks[1].interface
|- lima: user-v2| => |- lima: user-v2\n  vzNAT: true| => networks[0].lima
|- location: ~/data| => |- location: /LONG| => mounts[0].location
message: hello => message: hello\nbase: [''] => base[0]
message: hello => message: hello\nbase: {url: good.yaml, hash: x} => base.hash
""".replace("DIGEST", "ab" * 32)
    .replace("ZIGEST", "zz" * 32)
    .replace("LONG", "x" * 1100)
)
FILES: dict[str, str | bytes] = {
    f"{PROJECT}/own.yaml": "base: own.yaml\n",
    f"{PROJECT}/good.yaml": "timezone: ''\n",
}


def refused(text: str) -> errors.ConfigError:
    with pytest.raises(errors.ConfigError) as info:
        load(text, resolver=Files(FILES))
    assert info.value.exit_code == 2
    return info.value


def test_the_file_without_a_mistake_is_fine() -> None:
    assert load(GOOD, resolver=Files(FILES)).spec.processors.count == 2


def test_there_are_a_hundred_mistakes() -> None:
    assert len({(each.line, each.wrong) for each in TABLE}) == len(TABLE) >= 100


@pytest.mark.parametrize("mistake", TABLE, ids=lambda each: each.wrong.strip()[:60])
def test_a_mistake_is_told_with_its_place_and_a_remedy(mistake: Mistake) -> None:
    text = mistake.text()
    error = refused(text)
    problems = error.details["problems"]
    assert all(each["line"] and each["message"] and each.get("remedy") for each in problems)
    (found,) = (each for each in problems if each["path"] == mistake.path)
    first = LINES.index(mistake.line) + 1
    last = first + mistake.wrong.count("\n")
    entry = mistake.path.rpartition(".")[0]
    if found["file"] == "c.yaml" and not first <= found["line"] <= last:
        # a missing field is told at the entry that lacks it
        assert entry or mistake.path == "user"
        assert text.splitlines()[found["line"] - 1].startswith(("- ", "user:", "  "))
    assert f":{found['line']}: {mistake.path}: " in error.message
    assert error.remedy


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("".join(f"key{n}: 1\n" for n in range(15_000)), 10_000),
        ("cpus: [1, 2\n", 2),
        ("cpus: 1\n\tmemory: 1GiB\n", 2),
        ("a: &a [*a, *a]\n", 1),
        ("cpus: *missing\n", 1),
        ("cpus: !!python/object:os.system x\n", 1),
        ("- a\n- b\n", 1),
        ("just words\n", 1),
        ("a: 1\n---\nb: 2\n", 2),
        ("cpus: 1\n? [a, b]\n: c\n", 2),
        ("a: " + "[" * 100 + "\n", 1),
        ("k" * 600 + ": 1\n", 1),
        ("cpus: 1\x07\n", 1),
        ("# " + "x" * (256 << 10), 1),
    ],
    ids=lambda each: str(each)[:20],
)
def test_a_text_that_is_no_config(text: str, line: int) -> None:
    error = refused(text)
    (found,) = error.details["problems"][:1]
    assert found["line"] == line
    assert found["remedy"]


def wrong_kinds() -> list[tuple[str, str, int]]:
    """Every field of the format with a value of another type: text, path, line."""
    found: list[tuple[str, str, int]] = []
    for path, kind in below("LimaYAML", ()):
        if kind == schema.ANY:
            continue
        text, line = "", 0
        for depth, part in enumerate(path):
            name, listed = part.removesuffix("[]"), part.endswith("[]")
            indent = "  " * depth
            dash = found_dash(path, depth)
            text += ("" if depth == 0 else "\n") + indent[: len(indent) - 2 * dash] + "- " * dash
            text += name + ":"
            line += 1
            del listed
        value = "[[]]" if isinstance(kind, str) else "!!str 1"
        where = ".".join(part.replace("[]", "[0]") for part in path[:-1])
        last = path[-1].removesuffix("[]")
        found.append((f"{text} {value}\n", f"{where}.{last}" if where else last, line))
    return found


def found_dash(path: tuple[str, ...], depth: int) -> bool:
    """Whether the name at a depth is the first of a list's entry."""
    return depth > 0 and path[depth - 1].endswith("[]")


def below(struct: str, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], schema.Kind]]:
    found: list[tuple[tuple[str, ...], schema.Kind]] = []
    for name, kind in schema.STRUCTS[struct].items():
        inner: schema.Kind = kind.other if isinstance(kind, schema.Either) else kind
        listed = isinstance(inner, schema.ListOf)
        if not isinstance(kind, schema.Either):
            found.append(((*path, name), kind))
        while isinstance(inner, schema.Either | schema.ListOf):
            inner = inner.other if isinstance(inner, schema.Either) else inner.item
        if isinstance(inner, schema.Struct) and inner.name != "LocatorWithDigest":
            found += below(inner.name, (*path, name + "[]" * listed))
    return found


@pytest.mark.parametrize(("text", "path", "line"), wrong_kinds(), ids=lambda each: str(each)[:60])
def test_a_wrong_type_of_any_field(text: str, path: str, line: int) -> None:
    problems = refused(text).details["problems"]
    (found,) = (each for each in problems if each["path"] == path)
    assert found["message"].startswith("expected ")
    assert found["line"] == line
    assert all(each.get("remedy") for each in problems)
