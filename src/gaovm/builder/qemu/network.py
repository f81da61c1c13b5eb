"""The guest's network card and its carrier, without root: passt, else QEMU's slirp.

Forwarded ports go through the agent. Both carriers give the guest the addresses of
``builder.network``.
"""

from __future__ import annotations

from gaovm.builder import network, packages
from gaovm.builder.choices import Choice
from gaovm.builder.qemu import quoting
from gaovm.builder.qemu.machine import bus
from gaovm.model.facts import HostFacts
from gaovm.spec.vm import VmSpec

#: The descriptor of the socket on which QEMU waits for passt.
FD = "network"


def choose(host: HostFacts) -> Choice:
    """Choose the carrier of the guest's network: passt where usable, else QEMU's own slirp.

    slirp cannot block the guest's access to the host's loopback.
    """
    found = host.passt
    if found is None:
        return Choice(name="slirp", reason=f"passt is not installed ({packages.remedy('passt')})")
    return Choice(name="passt" if found.usable else "slirp", reason=found.reason)


def arguments(spec: VmSpec, machine: str, carrier: str) -> list[str]:
    """Return the arguments for the network card. ``carrier`` is ``passt`` or ``slirp``."""
    device: dict[str, quoting.Json] = {
        "driver": f"virtio-net-{bus(machine)}",
        "id": "nic0",
        "netdev": "net0",
        "mac": network.mac(spec.name),
    }
    if carrier == "passt":
        device["host_mtu"] = network.MTU
    if machine != "microvm":
        device["romfile"] = ""  # the firmware needs no network boot ROM
    netdev = _passt() if carrier == "passt" else _slirp(spec)
    return ["-netdev", quoting.as_json(netdev), "-device", quoting.as_json(device)]


def _passt() -> dict[str, quoting.Json]:
    # QEMU is the server: when a passt dies, QEMU waits for the next one. As a client, QEMU before
    # version 8 would not connect again.
    address: dict[str, quoting.Json] = {"type": "fd", "str": quoting.descriptor(FD)}
    return {"type": "stream", "id": "net0", "server": True, "addr": address}


def _slirp(spec: VmSpec) -> dict[str, quoting.Json]:
    return {
        "type": "user",
        "id": "net0",
        "net": network.NETWORK,
        "host": network.GATEWAY,
        "dns": network.DNS,
        "dhcpstart": network.GUEST,
        "hostname": spec.guest.hostname,
        # QEMU announces an IPv6 prefix even when the host has no route: clients would then wait
        "ipv6": False,
    }
