"""What the driver gives the guest after each boot, and what a guest needs to be called ready."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from gaovm.aio import clock, steps
from gaovm.builder import network
from gaovm.builder.document import ShareDevice
from gaovm.driver.guest import provision
from gaovm.driver.guest.readiness import Readiness
from gaovm.driver.logs import StampedLog
from gaovm.guestmanager import guest, mounts, users
from gaovm.guestmanager.connection import Connection
from gaovm.spec.network import Network
from gaovm.wire.agent.guest import Configuration
from gaovm.wire.agent.mounts import Mount
from gaovm.wire.driver.launch import LaunchRequest

logger = logging.getLogger(__name__)
NETWORK_LIMIT_S = 20.0
ENTROPY_BYTES = 32
#: Lima's name for the host in the guest.
HOST_NAME = "host.lima.internal"


@steps.step
async def configure(
    connection: Connection, request: LaunchRequest, shares: tuple[ShareDevice, ...]
) -> None:
    """Give the guest its name, user, mounts, environment, time and entropy.

    Raises:
        errors.GaoError: the agent is gone, or a part failed; the other parts are done all the same.
    """
    what = request.spec.guest
    fed = request.spec.supervision.watchdog.device
    wanted = tuple(
        Mount(tag=s.tag, type=s.type, path=s.mount_point, writable=s.writable) for s in shares
    )
    configuration = Configuration(
        hostname=what.hostname,
        hosts=_hosts(request.spec.network),
        unix_ns=round(clock.now() * 1e9),
        user=users.account(what.user),
        mounts=wanted,
        env=dict(what.env),
        entropy=guest.entropy(os.urandom(ENTROPY_BYTES)),
        watchdog=fed,
    )
    done = await guest.configure(connection, configuration)
    mounts.check(wanted, done.mounts)
    if fed:
        guest.check_watchdog(done)


def _hosts(wanted: Network) -> dict[str, str]:
    """Return the name of the host, where the guest reaches something of it."""
    if wanted.host_access:
        return {HOST_NAME: network.GATEWAY}
    return {HOST_NAME: network.HOST_PORTS} if wanted.host_ports else {}


async def await_network(connection: Connection) -> None:
    """Wait for the guest's network; a guest whose network failed is still useful."""
    found = await guest.wait_online(connection, NETWORK_LIMIT_S)
    if found.state != "up":
        logger.warning("the guest's network: %s %s", found.state, found.detail[:200])


async def run_scripts(
    connection: Connection,
    request: LaunchRequest,
    readiness: Readiness,
    report: provision.Report,
) -> None:
    """Run the provision scripts and then the probes, if the request asks for them.

    Raises:
        errors.ProvisionFailed, errors.ProbeFailed: one failed.
        errors.GuestUnavailable: the agent is gone.
    """
    what = request.spec.guest
    if not request.provision or not (what.provision or what.probes):
        return
    log = StampedLog(Path(request.vm_dir, "provision.log"))
    try:
        readiness.tell("provisioning")
        await provision.run(connection, what, log, report)
        if what.probes:
            readiness.tell("probing")
            await provision.probe(connection, what, log, report)
    finally:
        log.close()
