"""The guest's card and its way out, without root: passt, else QEMU's slirp.

Ports go through the agent. Both give the guest the same addresses, so one image and one kernel
command line serve both.
"""

from __future__ import annotations

import hashlib

from gaovm.builder.qemu import quoting
from gaovm.builder.qemu.machine import bus
from gaovm.spec.vm import VmSpec

NETWORK = "10.0.2.0/24"
GUEST = "10.0.2.15"
GATEWAY = "10.0.2.2"
DNS = "10.0.2.3"
INTERFACE = "eth0"
#: The descriptor of the socket on which QEMU waits for passt.
FD = "network"
# The largest that an IPv4 packet's length allows: passt has no other way to carry much at once.
MTU = 65520


def mac(name: str) -> str:
    """A stable address for the VM's interface, in QEMU's own range."""
    tail = hashlib.sha256(name.encode()).digest()[:3]
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in tail)


def kernel_argument(spec: VmSpec) -> str:
    """The guest's address, fixed on the kernel's command line: DHCP would cost a round trip."""
    return f"ip={GUEST}::{GATEWAY}:255.255.255.0:{spec.guest.hostname}:{INTERFACE}:off:{DNS}"


def arguments(spec: VmSpec, machine: str, carrier: str) -> list[str]:
    """Arguments for the network card. ``carrier``: ``passt`` or ``slirp``."""
    device: dict[str, quoting.Json] = {
        "driver": f"virtio-net-{bus(machine)}",
        "id": "nic0",
        "netdev": "net0",
        "mac": mac(spec.name),
    }
    if carrier == "passt":
        device["host_mtu"] = MTU
    if machine != "microvm":
        device["romfile"] = ""  # no network boot ROM for the firmware to run
    netdev = _passt() if carrier == "passt" else _slirp(spec)
    return ["-netdev", quoting.as_json(netdev), "-device", quoting.as_json(device)]


def _passt() -> dict[str, quoting.Json]:
    # As the server QEMU waits again when its peer has gone, so a passt that died is followed by
    # another; as the client, before QEMU 8, it would not dial again.
    address: dict[str, quoting.Json] = {"type": "fd", "str": quoting.descriptor(FD)}
    return {"type": "stream", "id": "net0", "server": True, "addr": address}


def _slirp(spec: VmSpec) -> dict[str, quoting.Json]:
    return {
        "type": "user",
        "id": "net0",
        "net": NETWORK,
        "host": GATEWAY,
        "dns": DNS,
        "dhcpstart": GUEST,
        "hostname": spec.guest.hostname,
        # QEMU announces a prefix even when the host has no route, and clients then wait
        "ipv6": False,
    }
