"""The guest's card and its way out, without root: passt, else QEMU's slirp.

Ports go through the agent. Both give the guest the addresses of ``builder.network``.
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
    """What carries the guest's network: passt where it is usable, else QEMU's own slirp.

    slirp cannot keep the guest from the host's loopback.
    """
    found = host.passt
    if found is None:
        return Choice(name="slirp", reason=f"passt is not installed ({packages.remedy('passt')})")
    return Choice(name="passt" if found.usable else "slirp", reason=found.reason)


def arguments(spec: VmSpec, machine: str, carrier: str) -> list[str]:
    """Arguments for the network card. ``carrier``: ``passt`` or ``slirp``."""
    device: dict[str, quoting.Json] = {
        "driver": f"virtio-net-{bus(machine)}",
        "id": "nic0",
        "netdev": "net0",
        "mac": network.mac(spec.name),
    }
    if carrier == "passt":
        device["host_mtu"] = network.MTU
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
        "net": network.NETWORK,
        "host": network.GATEWAY,
        "dns": network.DNS,
        "dhcpstart": network.GUEST,
        "hostname": spec.guest.hostname,
        # QEMU announces a prefix even when the host has no route, and clients then wait
        "ipv6": False,
    }
