"""What a spec reaches on the host, and which part of it nobody has approved."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gaovm.spec import diff, reach
from gaovm.spec.disks import AdditionalDisk, Image, ImageFile
from gaovm.spec.guest import Copy, Guest, User
from gaovm.spec.network import Network
from gaovm.spec.portrules import Rule
from gaovm.spec.ports import PortForward, SocketForward
from gaovm.spec.shares import Share
from gaovm.spec.ssh import Ssh
from gaovm.spec.vm import VmSpec

PROJECT = "/src/web"
OWN = Share(location=PROJECT, mount_point=PROJECT, writable=True)
USER = User(name="u", uid=1000, gid=1000, home="/home/u")


def spec(*shares: Share, **changes: Any) -> VmSpec:
    made = VmSpec(
        name="a",
        image=Image(location="debian:12"),
        guest=Guest(user=USER, hostname="a"),
        shares=shares or (OWN,),
    )
    return msgspec.structs.replace(made, **changes)


def share(location: str, *, writable: bool = False) -> Share:
    return Share(location=location, mount_point="/mnt" + location, writable=writable)


def found(wanted: VmSpec, links: dict[str, str] | None = None) -> tuple[reach.Reach, ...]:
    return reach.of(wanted, PROJECT, lambda path: (links or {}).get(path, path))


def widened(
    wanted: VmSpec, approved: VmSpec | None = None, links: dict[str, str] | None = None
) -> list[str]:
    before = reach.BASELINE if approved is None else found(approved)
    return [each.line() for each in reach.widenings(before, found(wanted, links), PROJECT)]


def forwards(*ports: PortForward) -> VmSpec:
    return spec(network=Network(ports=ports))


def test_every_field_of_a_spec_is_classified() -> None:
    rows = {field.path for field in diff.FIELDS}
    assert rows <= reach.REACHING | reach.INSIDE
    assert not reach.REACHING & reach.INSIDE


@pytest.mark.parametrize(
    "wanted",
    [
        spec(),
        spec(OWN, share(PROJECT + "/data", writable=True)),
        spec(share(PROJECT)),
        forwards(PortForward(guest_port=80), PortForward(guest_port=81, host_ip="::1")),
        forwards(PortForward(guest_port=80, host_ip="127.3.2.1", host_port=80)),
        spec(image=Image(location="ubuntu:24.04")),
        spec(image=Image(location=f"{PROJECT}/x.img", kernel=ImageFile(location=f"{PROJECT}/k"))),
        spec(image=Image(location=f"file://{PROJECT}/x.img")),
    ],
)
def test_the_project_and_loopback_need_no_approval(wanted: VmSpec) -> None:
    assert widened(wanted) == []


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        (spec(OWN, share("/etc")), "mount /etc (read-only)"),
        (spec(share("/src", writable=True)), "mount /src (writable)"),
        (spec(share("/src/web2", writable=True)), "mount /src/web2 (writable)"),
        (spec(share("/")), "mount / (read-only)"),
        (forwards(PortForward(guest_port=80, host_ip="0.0.0.0")), "forward 0.0.0.0:(any port)"),
        (
            forwards(PortForward(guest_port=80, host_ip="::", host_port=80)),
            "forward [::]:80",
        ),
        (spec(additional_disks=(AdditionalDisk(name="data"),)), "disk data"),
        (spec(image=Image(location="/etc/shadow")), "image /etc/shadow"),
        (spec(image=Image(location="https://e.org/x")), "image https://e.org/x"),
        (
            spec(image=Image(location=f"file://{PROJECT}/%2e%2e/x")),
            f"image file://{PROJECT}/%2e%2e/x",
        ),
        (
            spec(image=Image(location="debian:12", kernel=ImageFile(location="/etc/shadow"))),
            "kernel /etc/shadow",
        ),
        (
            spec(
                image=Image(
                    location="debian:12",
                    kernel=ImageFile(location=f"{PROJECT}/k"),
                    initrd=ImageFile(location="/root/i"),
                )
            ),
            "kernel /root/i",
        ),
        (spec(ssh=Ssh(forward_agent=True)), "SSH agent your keys, over ssh"),
        (spec(ssh=Ssh(forward_x11=True)), "X server your desktop, over ssh (untrusted)"),
    ],
)
def test_a_reach_beyond_the_project_is_named(wanted: VmSpec, line: str) -> None:
    assert widened(wanted) == [line]
    assert widened(wanted, wanted) == [], "what was approved needs no second approval"


def test_a_link_counts_as_its_target() -> None:
    inside = spec(OWN, share(PROJECT + "/data"))
    assert widened(inside, inside, {PROJECT + "/data": "/etc"}) == ["mount /etc (read-only)"]
    kernel = spec(image=Image(location="debian:12", kernel=ImageFile(location=PROJECT + "/k")))
    assert widened(kernel, kernel, {PROJECT + "/k": "/etc/shadow"}) == ["kernel /etc/shadow"]


def test_a_name_that_a_guest_chose_stays_on_one_line() -> None:
    inside = spec(OWN, share(PROJECT + "/data"))
    links = {PROJECT + "/data": "/etc\n  + nothing\x1b[2J\udcff\u202e"}
    (line,) = widened(inside, inside, links)
    assert line == "mount /etc\\x0a  + nothing\\x1b[2J\\udcff\\x202e (read-only)"


def test_only_becoming_writable_widens_the_reach() -> None:
    narrow, wide = spec(OWN, share("/data")), spec(OWN, share("/data", writable=True))
    assert widened(wide, narrow) == ["mount /data: read-only before, now writable"]
    assert widened(narrow, wide) == []
    assert widened(spec(), spec(share(PROJECT))) == ["mount .: read-only before, now writable"]


def test_a_smaller_reach_needs_no_approval() -> None:
    wide = spec(OWN, share("/data", writable=True))
    assert widened(spec(OWN, share("/data/x")), wide) == []
    assert widened(spec(OWN, share("/data2")), wide) == ["mount /data2 (read-only)"]
    everywhere = forwards(PortForward(guest_port=80, host_ip="0.0.0.0", host_port=80))
    one = forwards(PortForward(guest_port=22, host_ip="192.168.1.2", host_port=80))
    assert widened(one, everywhere) == []
    assert widened(everywhere, one) == ["forward 0.0.0.0:80"]
    other = forwards(PortForward(guest_port=22, host_ip="::2", host_port=80))
    assert widened(other, everywhere) == ["forward [::2]:80"]


def test_a_moved_project_reaches_the_same() -> None:
    here = reach.of(spec(OWN, share(PROJECT + "/data")), PROJECT, lambda path: path)
    moved = Share(location="/new", mount_point="/new", writable=True)
    there = reach.of(spec(moved, share("/new/data")), "/new", lambda path: path)
    assert here == there


def test_rules_and_sockets_reach_what_they_open() -> None:
    network = Network(
        rules=(
            Rule(22, 22, "0.0.0.0", ignore=True),
            Rule(80, 80),
            Rule(81, 81, host_ip="0.0.0.0", proto="tcp"),
            Rule(90, 99, host_ip="::", host_first=190),
            Rule(100, 100, host_ip="10.0.0.1", host_first=0, proto="udp"),
            Rule(101, 101, host_socket="own.sock"),
            Rule(102, 102, host_socket="/tmp/other.sock"),
        ),
        sockets=(
            SocketForward(guest_socket="/a", host_socket="a.sock"),
            SocketForward(guest_socket="/b", host_socket="/run/b.sock"),
            SocketForward(guest_socket="/c", host_socket="/run/docker.sock", reverse=True),
        ),
        host_ports=(5432,),
    )
    assert widened(spec(network=network), links={"/tmp/other.sock": "/home/u/x"}) == [
        "forward 0.0.0.0:81",
        "forward 10.0.0.1:(any port)/udp",
        "forward [::]:190-199",
        "forward [::]:190-199/udp",
        "forward socket /home/u/x",
        "forward socket /run/b.sock",
        "host access socket /run/docker.sock",
        "host access this machine's own 127.0.0.1:5432",
    ]


def test_all_of_the_hosts_ports_include_each_of_them() -> None:
    every = spec(network=Network(host_access=True))
    single = spec(network=Network(host_ports=(5432,)))
    assert widened(single, every) == []
    assert len(widened(every, single)) == 1


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("copied-from-guest/x", None),
        ("/p/build/x", None),
        ("/etc/x", "/etc/x"),
        ("/x", "/x"),
    ],
)
def test_a_copy_reaches_what_lies_outside_the_project(host: str, expected: str | None) -> None:
    copy = Copy(name="copyToHost[0]", guest="/g", host=host)
    found = reach.of_copy(copy, "/p", lambda path: path)
    assert (found.what if found else None) == expected


def test_files_of_the_project_reach_nothing() -> None:
    found = reach.of_files(["/p/a", "/q/b", "/q/b"], "/p")
    assert [(each.kind, each.what) for each in found] == [(reach.Kind.FILE, "/q/b")]
