"""The guest's network, the same on every back end: one image and one kernel command line serve all.

What carries it differs: each back end has its own ``network``.
"""

from __future__ import annotations

import hashlib

from gaovm.spec.vm import VmSpec

NETWORK = "10.0.2.0/24"
GUEST = "10.0.2.15"
GATEWAY = "10.0.2.2"
DNS = "10.0.2.3"
INTERFACE = "eth0"
# The largest that an IPv4 packet's length allows: passt has no other way to carry much at once.
MTU = 65520


def mac(name: str) -> str:
    """A stable address for the VM's interface, in the range that KVM guests use."""
    tail = hashlib.sha256(name.encode()).digest()[:3]
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in tail)


def kernel_argument(spec: VmSpec) -> str:
    """The guest's address, fixed on the kernel's command line: DHCP would cost a round trip."""
    return f"ip={GUEST}::{GATEWAY}:255.255.255.0:{spec.guest.hostname}:{INTERFACE}:off:{DNS}"
