"""The guest's network. It is the same on every back end, so one image and command line fit all.

Each back end has its own ``network`` module for the carrier of the traffic.
"""

from __future__ import annotations

import hashlib

from gaovm.spec import network
from gaovm.spec.vm import VmSpec

NETWORK = "10.0.2.0/24"
GUEST = "10.0.2.15"
GATEWAY = network.GATEWAY
DNS = "10.0.2.3"
#: An address of the guest's loopback: single ports of the host are there (``hostAccess: [5432]``).
HOST_PORTS = "127.0.0.100"
INTERFACE = "eth0"
# The largest size of an IPv4 packet: passt has no other way to carry much data at once.
MTU = 65520


def mac(name: str) -> str:
    """Return a stable MAC address for the VM's interface, in the range that KVM guests use."""
    tail = hashlib.sha256(name.encode()).digest()[:3]
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in tail)


def kernel_argument(spec: VmSpec) -> str:
    """Return the kernel argument that fixes the guest's address; DHCP would cost a round trip."""
    servers = ":".join(spec.guest.servers) or DNS
    return f"ip={GUEST}::{GATEWAY}:255.255.255.0:{spec.guest.hostname}:{INTERFACE}:off:{servers}"
