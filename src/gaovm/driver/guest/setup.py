"""What the driver gives the guest after each boot, and what a guest needs to be called ready."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

from gaovm.aio import clock, steps
from gaovm.builder import choices, cidata, network
from gaovm.builder.document import ShareDevice
from gaovm.driver.guest import copying, packages, passwords, probing, provision
from gaovm.driver.guest.editing import Editor
from gaovm.driver.guest.output import Report
from gaovm.driver.guest.readiness import Readiness
from gaovm.driver.logs import StampedLog
from gaovm.guestmanager import disks, guest, mounts, users
from gaovm.guestmanager.transport.connection import Connection
from gaovm.hostfacts import programs
from gaovm.spec import disks as spec_disks
from gaovm.spec.guest import HOST_NAME, Guest, Mode
from gaovm.spec.vm import VmSpec
from gaovm.wire.agent.disks import Disk
from gaovm.wire.agent.guest import Configuration, Configured, Zone
from gaovm.wire.agent.mounts import Mount
from gaovm.wire.driver.launch import LaunchRequest

logger = logging.getLogger(__name__)
NETWORK_LIMIT_S = 20.0
#: systemd opens its socket within seconds; this holds on the slowest emulated machine.
MANAGER_LIMIT_S = 120.0
ENTROPY_BYTES = 32


def hosts(spec: VmSpec) -> dict[str, str]:
    """Return the names of the guest's ``/etc/hosts``; the host has one if it is open."""
    found = dict(spec.guest.hosts)
    wanted = spec.network
    if wanted.opens_host:
        found.setdefault(HOST_NAME, HOST_NAME)
    host = network.GATEWAY if wanted.host_access else network.HOST_PORTS
    return {name: host if to == HOST_NAME else to for name, to in found.items()}


def check_zone(what: Guest, done: Configured) -> None:
    """Log that the guest has not the wanted time zone; it is still useful."""
    if done.timezone:
        logger.warning("the guest's time zone is not %s: %s", what.timezone, done.timezone[:200])


@steps.step
async def configure(
    connection: Connection,
    request: LaunchRequest,
    shares: tuple[ShareDevice, ...],
    zone: Zone | None,
) -> None:
    """Give the guest its name, user, mounts, environment, time and entropy.

    Raises:
        errors.GaoError: the agent is gone, or a part failed; the other parts are done all the same.
    """
    what = request.spec.guest
    fed = request.spec.supervision.watchdog.device
    wanted = tuple(
        Mount(
            tag=share.tag,
            type=share.type,
            path=share.mount_point,
            writable=share.writable,
            options=share.options,
            notify=share.inotify,
        )
        for share in shares
        if share.type != choices.SSHFS
    )
    configuration = Configuration(
        hostname=what.hostname,
        hosts=hosts(request.spec),
        timezone=zone,
        unix_ns=round(clock.now() * 1e9),
        user=users.account(what.user),
        mounts=wanted,
        env=dict(what.env),
        entropy=guest.entropy(os.urandom(ENTROPY_BYTES)),
        watchdog=fed,
    )
    done = await guest.configure(connection, configuration)
    check_zone(what, done)
    mounts.check(wanted, done.mounts)
    if fed:
        guest.check_watchdog(done)


@steps.step
async def mount_disks(connection: Connection, request: LaunchRequest) -> None:
    """Mount the additional disks in the guest.

    Raises:
        errors.GuestCallFailed: one cannot be mounted; the others are mounted all the same.
        errors.GuestUnavailable: the agent is gone.
    """
    wanted = tuple(
        Disk(
            serial=spec_disks.serial(disk.name),
            path=disk.mount_point,
            fs_type=disk.fs_type,
            format=disk.format,
            fs_args=disk.fs_args,
        )
        for disk in request.spec.additional_disks
    )
    if wanted:
        for mounted in await disks.mount(connection, wanted):
            made = f"a new {mounted.fs_type[:16]} at" if mounted.formatted else "mounted at"
            logger.info("additional disk: %s %s", made, mounted.path[:200])


async def await_network(connection: Connection) -> None:
    """Wait for the guest's network; a guest whose network failed is still useful."""
    found = await guest.wait_online(connection, NETWORK_LIMIT_S)
    if found.state != "up":
        logger.warning("the guest's network: %s %s", found.state, found.detail[:200])


async def run_early(
    connection: Connection, request: LaunchRequest, readiness: Readiness, report: Report
) -> None:
    """Run the scripts of mode ``boot``, as soon as the guest's service manager takes requests.

    Raises:
        errors.ProvisionFailed: one failed.
        errors.GuestUnavailable: the agent is gone.
    """
    if not request.provision or not provision.ordered(request.spec.guest, provision.EARLY):
        return
    await guest.wait_manager(connection, MANAGER_LIMIT_S)
    readiness.tell("provisioning")
    with contextlib.closing(_log(request)) as log:
        await _provision(connection, request, provision.EARLY, log, report)


async def trust(connection: Connection, request: LaunchRequest, report: Report) -> None:
    """Make the guest trust the config's certificates.

    Raises:
        errors.GuestCallFailed: it could not be done.
        errors.GuestUnavailable: the agent is gone.
    """
    wanted = request.spec.guest.trust
    if wanted.certificates or wanted.remove_defaults:
        report("provision", "caCerts: installing certificates")
    done = await guest.trust(connection, wanted)
    if done.changed:
        logger.info("the guest's trusted certificates were set by %s", done.how[:200])


async def run_late(
    connection: Connection, request: LaunchRequest, readiness: Readiness, report: Report
) -> None:
    """Do all that comes after the boot: packages, provisioning, probes, copies to the host.

    Raises:
        errors.ProvisionFailed, errors.ProbeFailed, errors.GuestCallFailed: one failed.
        errors.GuestUnavailable: the agent is gone.
    """
    what = request.spec.guest
    if not request.provision:
        return
    if not what.user.passwordless_sudo:
        await passwords.give(connection, what.user)
    if what.provision or what.probes or what.upgrade_packages:
        with contextlib.closing(_log(request)) as log:
            readiness.tell("provisioning")
            await _provision(connection, request, provision.LATE, log, report)
            if what.probes:
                readiness.tell("probing")
                limit_s = request.spec.supervision.set_up.probe_s
                await probing.run(connection, what, limit_s, log, report)
    await copying.fetch(connection, request, report)


async def _provision(
    connection: Connection,
    request: LaunchRequest,
    modes: tuple[Mode, ...],
    log: StampedLog,
    report: Report,
) -> None:
    what = request.spec.guest
    scripts = provision.ordered(what, modes)
    if what.upgrade_packages and modes == provision.LATE:
        scripts.insert(0, packages.upgrade())
    runner = provision.Runner(
        connection,
        what.user.name,
        Editor(programs.yq(request.spec.boot.arch)),
        request.spec.supervision.set_up.script_s,
        cidata.variables(request.spec),
    )
    await provision.run(runner, scripts, log, report)


def _log(request: LaunchRequest) -> StampedLog:
    return StampedLog(Path(request.vm_dir, "provision.log"))
