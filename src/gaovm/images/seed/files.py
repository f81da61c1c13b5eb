"""The files of a seed. Pure.

An image that knows nothing of GaoVM has cloud-init. It reads ``user-data``, ``meta-data`` and
``network-config`` (NoCloud; https://docs.cloud-init.io, "NoCloud" and "Networking config Version
2"). Images made for Lima have a script of their own instead, which reads ``lima.env`` and the like,
looks for lines of ``user-data`` and runs ``boot.sh`` (lima-vm/alpine-lima, nixos-lima). Both start
the agent from here; the agent does the rest, as in every other guest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from gaovm.builder import cidata, network
from gaovm.images.seed import iso9660
from gaovm.spec.vm import VmSpec

LABEL = "cidata"
#: The agent's program on the seed, and its name in images made for Lima.
AGENT, LIMA_AGENT = "gaovm-agent", "lima-guestagent"
_PREFIX = "/usr/local"
# The agent writes this file when it runs as a service; then there is nothing to install. cloud-init
# joins all commands to one script, so this one is a subshell.
_START = """\
(
[ -e /run/gaovm-agent ] && exit 0
set -e
seed=/run/gaovm-seed
mkdir -p -m 700 $seed
mount -t iso9660 -o ro,exec "$(blkid -L cidata || echo /dev/disk/by-label/cidata)" $seed
trap 'umount $seed; rmdir $seed' EXIT
$seed/gaovm-agent install
)
"""
# What images made for Lima execute in place of Lima's own script; it must say that it has ended.
_BOOT = """\
#!/bin/sh
"${LIMA_CIDATA_MNT:-/mnt/lima-cidata}"/gaovm-agent install
code=$?
for done in /run/lima-ssh-ready /run/lima-boot-done; do
	printf '%s\\n' "$LIMA_CIDATA_IID" >"$done"
done
exit $code
"""


def image(spec: VmSpec, agent: bytes, instance: str) -> bytes:
    """Return the seed of a VM as a file system. ``instance`` names this installation of the guest.

    cloud-init repeats the work of a first boot when ``instance`` changes.
    """
    return iso9660.image(LABEL, files(spec, agent, instance))


def files(spec: VmSpec, agent: bytes, instance: str) -> list[iso9660.File]:
    """Return the files of the seed."""
    texts = {
        "meta-data": f"instance-id: {instance}\nlocal-hostname: {spec.guest.hostname}\n",
        "user-data": _user_data(),
        "network-config": _network_config(spec),
        "lima.env": _lines(_lima_variables(spec, instance)),
        "param.env": _lines(_parameters(spec)),
        "etc_environment": _lines(spec.guest.env),
        "gaovm.env": _lines(_settings(spec, agent)),
    }
    result = [iso9660.File(name, text.encode()) for name, text in texts.items()]
    result.append(iso9660.File("boot.sh", _BOOT.encode(), 0o755))
    result += [iso9660.File(name, agent, 0o755) for name in (AGENT, LIMA_AGENT)]
    return result


def _user_data() -> str:
    """Return cloud-init's config: no user, because the agent makes ours; then start the agent.

    An empty list of users is not valid, and without a list cloud-init makes the image's own user.
    ``bootcmd`` runs at every boot, early, and costs nothing once the agent is a service.
    """
    script = "".join(f"  {line}\n" for line in _START.splitlines())
    return (
        "#cloud-config\n"
        'growpart: {mode: auto, devices: ["/"]}\n'
        'users: [""]\n'
        "ssh_pwauth: false\n"
        "bootcmd:\n"
        f"- |\n{script}"
    )


def _network_config(spec: VmSpec) -> str:
    """Return the addresses that every guest has: DHCP would cost a round trip.

    In block style: images made for Lima look for the lines ``macaddress`` and ``set-name``.
    """
    return (
        "version: 2\n"
        "ethernets:\n"
        f"  {network.INTERFACE}:\n"
        "    match:\n"
        f"      macaddress: '{network.mac(spec.name)}'\n"
        f"    set-name: {network.INTERFACE}\n"
        f"    addresses: [{network.GUEST}/24]\n"
        "    routes:\n"
        "    - to: 0.0.0.0/0\n"
        f"      via: {network.GATEWAY}\n"
        "    nameservers:\n"
        f"      addresses: [{', '.join(spec.guest.servers) or network.DNS}]\n"
    )


def _lima_variables(spec: VmSpec, instance: str) -> Mapping[str, str]:
    """Return the variables that images made for Lima read.

    There are no mounts, disks and provision scripts among them: the agent sees to those.
    """
    return {
        **cidata.variables(spec),
        "LIMA_CIDATA_IID": instance,
        "LIMA_CIDATA_COMMENT": spec.guest.user.comment,
        "LIMA_CIDATA_HOSTHOME_MOUNTPOINT": "",
        "LIMA_CIDATA_MOUNTS": "0",
        "LIMA_CIDATA_MOUNTTYPE": "",
        "LIMA_CIDATA_DISKS": "0",
        "LIMA_CIDATA_GUEST_INSTALL_PREFIX": _PREFIX,
        "LIMA_CIDATA_CONTAINERD_USER": "",
        "LIMA_CIDATA_CONTAINERD_SYSTEM": "",
        "LIMA_CIDATA_SLIRP_DNS": network.DNS,
        "LIMA_CIDATA_SLIRP_IP_ADDRESS": network.GUEST,
        "LIMA_CIDATA_UDP_DNS_LOCAL_PORT": "0",
        "LIMA_CIDATA_TCP_DNS_LOCAL_PORT": "0",
        "LIMA_CIDATA_ROSETTA_ENABLED": "false",
        "LIMA_CIDATA_ROSETTA_BINFMT": "false",
        "LIMA_CIDATA_SKIP_DEFAULT_DEPENDENCY_RESOLUTION": "",
        "LIMA_CIDATA_VSOCK_PORT": "0",
        "LIMA_CIDATA_VIRTIO_PORT": "",
        "LIMA_CIDATA_NO_CLOUD_INIT": "",
    }


def _parameters(spec: VmSpec) -> Mapping[str, str]:
    found = [script.env for script in spec.guest.provision]
    found += [probe.env for probe in spec.guest.probes]
    merged = {key: value for env in found for key, value in env.items()}
    return {key: value for key, value in sorted(merged.items()) if key.startswith("PARAM_")}


def _settings(spec: VmSpec, agent: bytes) -> Mapping[str, str]:
    """Return what the agent must know before the host can call it."""
    watchdog = spec.supervision.watchdog
    return {
        "AGENT_SHA256": hashlib.sha256(agent).hexdigest(),
        "WATCHDOG_S": str(watchdog.timeout_s if watchdog.device else 0),
        "DEBUG": "1" if "gaovm.debug=1" in spec.boot.extra_arguments.split() else "",
    }


def _lines(variables: Mapping[str, str]) -> str:
    """Return lines ``KEY=VALUE``. A value of several lines becomes one, quoted as JSON."""
    return "".join(
        f"{key}={value if value.isprintable() else json.dumps(value)}\n"
        for key, value in variables.items()
    )
