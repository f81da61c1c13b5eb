"""What a spec lets its VM reach on this machine, beyond what every project's VM may reach.

Every VM gets its project's directory, writable, forwards on loopback, and an image that GaoVM
builds here from a known recipe. Everything else that a project file asks for is a ``Reach``, which
a person must approve, because the guest itself can write the project file. ``widenings`` returns
what a file asks for and the approved file did not.

Places inside the project are relative to its directory (``.`` or ``./data``), so a project reaches
the same after a move. The caller's ``real`` follows links: what counts is where a path leads, not
how it is written.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from enum import StrEnum

from gaovm.spec.base import Frozen
from gaovm.spec.disks import Image
from gaovm.spec.guest import Copy
from gaovm.spec.network import Network
from gaovm.spec.shares import Share
from gaovm.spec.ssh import Ssh
from gaovm.spec.vm import VmSpec

#: Paths of ``spec.diff.FIELDS`` that this module checks. A test requires all others in ``INSIDE``.
REACHING = frozenset(
    (
        "guest.copies",
        "additional_disks",
        *("ssh.forward_agent", "ssh.forward_x11", "ssh.forward_x11_trusted"),
        *("image", "shares", "network.host_access", "network.host_ports"),
        *("network.ports", "network.rules", "network.sockets"),
    )
)
#: Paths that affect only the VM, or choose between things that the host offers every VM.
INSIDE = frozenset(
    (
        *("name", "message", "memory.size_bytes", "disk.size_bytes"),
        *("processors.count", "processors.model", "processors.nested", "boot.minimum_version"),
        *("boot.backend", "boot.arch", "boot.machine", "boot.accelerator", "boot.kernel"),
        *("boot.extra_arguments",),
        *("graphics.enabled", "graphics.width", "graphics.height", "network.mode"),
        *("guest.user", "guest.hostname", "guest.env", "guest.provision", "guest.probes"),
        *("guest.timezone", "guest.hosts", "guest.servers"),
        *("guest.trust.certificates", "guest.trust.remove_defaults"),
        *("guest.upgrade_packages", "guest.plain"),
        *("supervision.set_up.boot_s", "supervision.set_up.script_s"),
        "supervision.set_up.probe_s",
        "ssh.load_public_keys",
        *("supervision.restart.policy", "supervision.restart.max_attempts"),
        *("supervision.restart.max_delay_s", "supervision.restart.stable_s"),
        *("supervision.watchdog.device", "supervision.watchdog.timeout_s"),
        *("supervision.watchdog.heartbeat", "supervision.watchdog.on_hang"),
        *("supervision.stop.grace_s", "supervision.stop.force_s", "supervision.autostart"),
    )
)
PROJECT = "."
_HOST = "this machine's own 127.0.0.1"
_FREE = "(any port)"


class Kind(StrEnum):
    """A kind of thing that the VM reaches; the value is the word for people."""

    MOUNT = "mount"
    FORWARD = "forward"
    IMAGE = "image"
    KERNEL = "kernel"
    HOST_ACCESS = "host access"
    FILE = "file"
    COPY = "copy to"
    SSH_AGENT = "SSH agent"
    X_SERVER = "X server"
    DISK = "disk"


#: Kinds that are host paths; a link may make such a path lead elsewhere later.
PATHS = frozenset((Kind.MOUNT, Kind.IMAGE, Kind.KERNEL, Kind.COPY))


class Reach(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that a VM reaches. ``mode``: a mount's ``read-only`` or ``writable``; or empty."""

    kind: Kind
    what: str
    mode: str = ""


class Widening(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that the VM reaches now. ``before`` is the approved mode; None: not approved."""

    kind: Kind
    what: str
    before: str | None
    after: str

    def line(self) -> str:
        """Return a line for people. It is one line, even if a path contains line breaks."""
        what = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in self.what)
        if self.before is None:
            return f"{self.kind} {what}" + (f" ({self.after})" if self.after else "")
        return f"{self.kind} {what}: {self.before} before, now {self.after}"


#: What a project file may reach without anybody's approval.
BASELINE = (Reach(kind=Kind.MOUNT, what=PROJECT, mode="writable"),)


def of(spec: VmSpec, project: str, real: Callable[[str], str]) -> tuple[Reach, ...]:
    """Return everything that a spec reaches, in a fixed order, each once.

    ``project`` is the project's directory. ``real`` follows the links of an absolute path.
    """
    root = real(project)
    found = [_mount(share, root, real) for share in spec.shares]
    found += _forwards(spec.network, real)
    found += _images(spec.image, root, real)
    found += [reach for copy in spec.guest.copies if (reach := of_copy(copy, root, real))]
    # a disk may hold another project's data
    found += [Reach(kind=Kind.DISK, what=disk.name) for disk in spec.additional_disks]
    if spec.network.host_access:
        found.append(Reach(kind=Kind.HOST_ACCESS, what=_HOST))
    for number in spec.network.host_ports:
        found.append(Reach(kind=Kind.HOST_ACCESS, what=f"{_HOST}:{number}"))
    found += _ssh(spec.ssh)
    return tuple(sorted(set(found), key=lambda each: (each.kind, each.what, each.mode)))


def of_files(files: Iterable[str], project: str) -> tuple[Reach, ...]:
    """Return the files outside the project whose content a project file brings into its VM.

    ``files`` and ``project`` are real paths.
    """
    places = sorted({_place(path, project) for path in files})
    return tuple(
        Reach(kind=Kind.FILE, what=place) for place in places if not place.startswith("./")
    )


def widenings(
    approved: Iterable[Reach], wanted: Iterable[Reach], project: str
) -> tuple[Widening, ...]:
    """Return what is wanted and not approved. ``project`` is its directory's real path."""
    known = list(approved)
    return tuple(
        Widening(kind=each.kind, what=each.what, before=_before(known, each), after=each.mode)
        for each in wanted
        if not any(_covers(one, each, project) for one in known)
    )


def _mount(share: Share, root: str, real: Callable[[str], str]) -> Reach:
    mode = "writable" if share.writable else "read-only"
    return Reach(kind=Kind.MOUNT, what=_place(real(share.location), root), mode=mode)


def of_copy(copy: Copy, root: str, real: Callable[[str], str]) -> Reach | None:
    """Return the file of the host that a copy writes; None: it is the project's or the VM's own.

    The last part of its path is replaced and never followed. ``root``: the project's real path.
    """
    directory, _, name = copy.host.rpartition("/")
    if not copy.host.startswith("/"):
        return None
    what = _place(f"{real(directory or '/').rstrip('/')}/{name}", root)
    return None if what.startswith("./") else Reach(kind=Kind.COPY, what=what)


def _forwards(network: Network, real: Callable[[str], str]) -> list[Reach]:
    """Return what ports reach: addresses beyond loopback, sockets outside the VM's directory."""
    found: list[Reach] = []
    for port in network.ports:
        found += _forward(port.host_ip, str(port.host_port or _FREE), port.proto)
    for rule in network.rules:
        if rule.ignore or rule.static or rule.guest_socket:
            continue  # a static rule's forwards are among the ports
        if rule.host_socket:
            found += _host_socket(rule.host_socket, real)
            continue
        first, last = rule.target(rule.first).port, rule.target(rule.last).port
        ports = str(first or _FREE) if first == last else f"{first}-{last}"
        found += _forward(rule.host_ip, ports, rule.proto)
    for socket in network.sockets:
        if socket.reverse:
            found.append(Reach(kind=Kind.HOST_ACCESS, what=_socket(socket.host_socket, real)))
        elif socket.host_socket:
            found += _host_socket(socket.host_socket, real)
        else:
            found += _forward(socket.host_ip, str(socket.host_port or _FREE), "tcp")
    return found


def _forward(host_ip: str, ports: str, proto: str) -> list[Reach]:
    address = ipaddress.ip_address(host_ip)
    if address.is_loopback:
        return []
    shown = f"[{address}]" if address.version == 6 else str(address)
    protos = ("", "/udp") if proto == "any" else ("/udp",) if proto == "udp" else ("",)
    return [Reach(kind=Kind.FORWARD, what=f"{shown}:{ports}{each}") for each in protos]


def _host_socket(path: str, real: Callable[[str], str]) -> list[Reach]:
    """A socket in the VM's own directory is no reach: nobody else's file is there."""
    return [Reach(kind=Kind.FORWARD, what=_socket(path, real))] if path.startswith("/") else []


def _socket(path: str, real: Callable[[str], str]) -> str:
    return f"socket {real(path) if path.startswith('/') else path}"


def _ssh(ssh: Ssh) -> list[Reach]:
    found = []
    if ssh.forward_agent:
        found.append(Reach(kind=Kind.SSH_AGENT, what="your keys, over ssh"))
    if ssh.forward_x11:
        mode = "trusted" if ssh.forward_x11_trusted else "untrusted"
        found.append(Reach(kind=Kind.X_SERVER, what="your desktop, over ssh", mode=mode))
    return found


def _images(image: Image, root: str, real: Callable[[str], str]) -> list[Reach]:
    parts = []
    for each in image.choices:
        parts.append((Kind.IMAGE, each.location))
        parts += [(Kind.KERNEL, part.location) for part in (each.kernel, each.initrd) if part]
    found = []
    for kind, location in parts:
        if "/" not in location:
            continue  # a name: GaoVM builds this image here, from a recipe of its own
        path = location.removeprefix("file://")
        # a URL counts as it is written: its escapes are not decoded
        local = path.startswith("/") and (path == location or not set(path) & set("%?#"))
        what = _place(real(path), root) if local else location
        if what != PROJECT and not what.startswith("./"):
            found.append(Reach(kind=kind, what=what))
    return found


def _place(path: str, root: str) -> str:
    path = path.encode("utf-8", "backslashreplace").decode()  # a link's name may hold any bytes
    if path == root:
        return PROJECT
    below = root.rstrip("/") + "/"
    return "./" + path.removeprefix(below) if path.startswith(below) else path


def _before(approved: Iterable[Reach], wanted: Reach) -> str | None:
    for one in approved:
        if (one.kind, one.what) == (wanted.kind, wanted.what):
            return one.mode
    return None


def _covers(one: Reach, other: Reach, project: str) -> bool:
    if one.kind is not other.kind:
        return False
    if one.kind is Kind.MOUNT:
        allowed = one.mode == "writable" or other.mode == one.mode
        return allowed and _contains(_absolute(one.what, project), _absolute(other.what, project))
    if one.kind is Kind.FORWARD:
        return other.what in (one.what, _everywhere(one.what, other.what))
    if one.kind is Kind.HOST_ACCESS:
        # all of the host's ports were approved: each of them is
        return other.what == one.what or (one.what == _HOST and other.what.startswith(f"{_HOST}:"))
    return one.what == other.what


def _absolute(what: str, project: str) -> str:
    if what == PROJECT:
        return project
    return f"{project.rstrip('/')}/{what[2:]}" if what.startswith("./") else what


def _contains(directory: str, path: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _everywhere(approved: str, wanted: str) -> str | None:
    """Return the wanted forward, if one on every address of its family was approved."""
    address, _, port = approved.rpartition(":")
    given, _, wanted_port = wanted.rpartition(":")
    six = given.startswith("[")
    every = "[::]" if six else "0.0.0.0"
    return wanted if address == every and port == wanted_port else None
