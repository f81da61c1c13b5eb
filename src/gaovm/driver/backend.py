"""What a driver needs from a back end: narrow protocols, and the one way to a back end's manager.

The rest of the driver does not know which back ends exist; ``builder.backends`` is their table.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, cast

from gaovm import errors
from gaovm.aio import tasks
from gaovm.builder import backends
from gaovm.builder.document import Document, ShareDevice
from gaovm.model.facts import HostFacts
from gaovm.vmmanager.events import OnEvent
from gaovm.vmmanager.pipes import Channels
from gaovm.wire.driver import results
from gaovm.wire.driver.launch import LaunchRequest

#: Plays the other end of a channel until it returns true: then the guest has powered itself off.
Player = Callable[[socket.socket], Awaitable[bool]]


class Screen(Protocol):
    """The display of a running VM."""

    async def ready(self) -> bool:
        """Wait until the display answers requests; False if it never will."""
        ...

    async def screendump(self) -> bytes:
        """Return the display's picture as PNG. Call ``ready`` first; one call at a time.

        Raises:
            errors.HypervisorFailed: the hypervisor refused or ended.
        """
        ...

    async def view(self, viewer: socket.socket) -> None:
        """Serve the display by VNC on a connected socket, which the caller closes.

        Raises:
            errors.HypervisorFailed: the hypervisor refused or ended.
        """
        ...


class Stoppable(Protocol):
    """The ways to end a hypervisor. Those that ask return whether it took the request."""

    @property
    def ended(self) -> asyncio.Event:
        """Set once the process is reaped and its output read."""
        ...

    async def resume(self) -> bool:
        """Let the guest's processors and clocks go on."""
        ...

    async def press_power_button(self) -> bool:
        """Ask the guest to power itself off, for example by ACPI."""
        ...

    async def quit(self) -> bool:
        """Make the hypervisor flush its disks and end."""
        ...

    def kill(self) -> None:
        """Send SIGKILL. Idempotent."""
        ...


class Hypervisor(Screen, Stoppable, Protocol):
    """The process that runs the guest, from its start to its end."""

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        ...

    @property
    def argv(self) -> tuple[str, ...]:
        """The command line it was executed with."""
        ...

    @property
    def ended_by_host(self) -> bool:
        """Whether the host ended it, for example by a signal: the guest did not want to end."""
        ...

    async def exited(self) -> tuple[int, float]:
        """Return the status and the time the exit was seen (monotonic), at once when seen."""
        ...

    async def drain(self) -> None:
        """Read what the process wrote before it exited; then set ``ended``."""
        ...

    async def pause(self) -> bool:
        """Stop the guest's processors and clocks; False if it does not take the request."""
        ...

    async def set_reboot(self, *, allowed: bool) -> None:
        """Set what a guest's reset does: restart it, or end the hypervisor (a failed boot)."""
        ...

    async def set_panic(self, *, pause: bool) -> None:
        """Set what a kernel panic does to the guest: it stays, paused, or it ends.

        Raises:
            errors.HypervisorFailed: the hypervisor refused.
        """
        ...


class Manager(Protocol):
    """The host side of one VM: its hypervisor and what serves it.

    The driver calls, in this order: ``prepare``, ``start``, ``serve``, ``shed``, ``close``.
    """

    @property
    def hypervisor(self) -> Hypervisor:
        """The process; it runs from ``start`` on."""
        ...

    async def prepare(self) -> None:
        """Make the disk and what confines the VM. Starts nothing.

        Raises:
            errors.GaoError: something that the VM needs is missing, or not permitted.
        """
        ...

    async def start(self) -> Channels:
        """Execute the hypervisor; return our ends of the console and of the agent's port.

        Raises:
            errors.ProgramMissing: it cannot be executed.
            errors.HostError: a file of the VM cannot be opened, or it cannot be confined.
        """
        ...

    async def serve(self) -> None:
        """Start what serves the guest beside the hypervisor: its shares, its network.

        Raises:
            errors.ProgramMissing, errors.HostError: see ``start``.
        """
        ...

    def open_share(
        self, share: ShareDevice
    ) -> contextlib.AbstractAsyncContextManager[socket.socket]:
        """Run the server of a share that the guest mounts by SSHFS, for the length of a block.

        The value speaks SFTP to it. Works after ``shed`` too.

        Raises:
            errors.StateConflict: nothing serves this share so.
            errors.ProgramMissing, errors.HostError: it did not start.
        """
        ...

    def shed(self) -> None:
        """Drop the rights that this process does not need once the VM runs."""
        ...

    async def close(self) -> None:
        """End what serves the VM and release all that ``prepare`` made. Idempotent."""
        ...

    async def cause_of_end(self, status: int) -> errors.GaoError:
        """Say why the hypervisor ended with that status, although nobody had asked it to."""
        ...

    async def grow_disk(self, size_bytes: int) -> None:
        """Grow the root disk to a size; does nothing if it has that size already.

        Raises:
            errors.DiskShrink: the disk is larger.
            errors.HypervisorFailed: the hypervisor refused.
        """
        ...

    @property
    def network_problem(self) -> errors.GaoError | None:
        """Say why the guest has no network now."""
        ...

    def confinement(self) -> results.Confinement | None:
        """Say what confines the hypervisor, for ``status``; None before the first start."""
        ...

    def guard(self, share: ShareDevice) -> results.Guard:
        """Say what confines the server of a share, for ``status``."""
        ...


class Create(Protocol):
    """Makes the manager of one VM; nothing of the VM exists yet."""

    def __call__(
        self,
        request: LaunchRequest,
        facts: HostFacts,
        made: Document,
        owner: tasks.TaskOwner,
        on_event: OnEvent,
    ) -> Manager: ...


class Backend(Protocol):
    """The module that ``builder.backends`` names as a back end's manager."""

    @property
    def create(self) -> Create:
        """For VMs."""
        ...

    def rehearse(self, players: Mapping[str, Player]) -> Create:
        """For the warm-up: the hypervisor's program only waits, ``players`` play its channels."""
        ...


def of(name: str) -> Backend:
    """Return a back end by its name, ``spec.boot.backend``.

    Raises:
        errors.ConfigError: no back end has that name.
    """
    return cast("Backend", importlib.import_module(backends.find(name).manager))


def load_all() -> None:
    """Import every back end, builder and manager: after a fork no driver imports anything."""
    for backend in backends.present():
        backends.builder(backend.name)
        of(backend.name)
