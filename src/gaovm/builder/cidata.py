"""Lima's variables ``LIMA_CIDATA_*``, which scripts of its users and images made for it read."""

from __future__ import annotations

from gaovm.builder import network
from gaovm.spec.vm import VmSpec


def variables(spec: VmSpec) -> dict[str, str]:
    """Return those that say something of the VM, by Lima's names."""
    user = spec.guest.user
    return {
        "LIMA_CIDATA_NAME": spec.name,
        "LIMA_CIDATA_HOSTNAME": spec.guest.hostname,
        "LIMA_CIDATA_USER": user.name,
        "LIMA_CIDATA_UID": str(user.uid),
        "LIMA_CIDATA_HOME": user.home,
        "LIMA_CIDATA_SHELL": user.shell,
        "LIMA_CIDATA_VMTYPE": spec.boot.backend,
        "LIMA_CIDATA_PLAIN": "1" if spec.guest.plain else "",
        "LIMA_CIDATA_SLIRP_GATEWAY": network.GATEWAY,
    }
