"""What a driver needs of a back end: narrow protocols, and the one way to a back end's manager.

Nothing else in the driver knows which back ends there are; ``builder.backends`` is their table.
"""

from __future__ import annotations

import asyncio
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

#: Plays the other end of a channel until it returns true: then the guest has switched itself off.
Player = Callable[[socket.socket], Awaitable[bool]]


class Screen(Protocol):
    """The display of a VM that runs."""

    async def ready(self) -> bool:
        """Wait until the display can be asked for; False when it never can."""
        ...

    async def screendump(self) -> bytes:
        """The display's picture as PNG; ``ready`` came first, and one at a time.

        Raises:
            errors.HypervisorFailed: the hypervisor refused or ended.
        """
        ...

    async def view(self, viewer: socket.socket) -> None:
        """Serve the display by VNC on a connected socket, which stays the caller's to close.

        Raises:
            errors.HypervisorFailed: the hypervisor refused or ended.
        """
        ...


class Stoppable(Protocol):
    """The ways to end a hypervisor. Those that ask return whether they were understood."""

    @property
    def ended(self) -> asyncio.Event:
        """Set when the process is reaped and drained."""
        ...

    async def resume(self) -> bool:
        """Let the guest's processors and clocks go on."""
        ...

    async def press_power_button(self) -> bool:
        """Ask the guest to switch itself off, as by ACPI."""
        ...

    async def quit(self) -> bool:
        """Make the hypervisor end with its disks flushed."""
        ...

    def kill(self) -> None:
        """SIGKILL. Idempotent."""
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
        """Whether the host ended it, as by a signal: not what the guest wanted."""
        ...

    async def exited(self) -> tuple[int, float]:
        """Its status and when its exit was seen (monotonic), as soon as it is seen."""
        ...

    async def drain(self) -> None:
        """Gather what the process, which has exited, still had to say; then ``ended`` is set."""
        ...

    async def pause(self) -> bool:
        """Stop the guest's processors and clocks; False when it is not understood."""
        ...

    async def set_reboot(self, *, allowed: bool) -> None:
        """Whether a guest's reset restarts it, or ends the hypervisor (a boot that failed)."""
        ...

    async def set_panic(self, *, pause: bool) -> None:
        """Whether a guest whose kernel panicked stays, paused, or ends.

        Raises:
            errors.HypervisorFailed: the hypervisor refused it.
        """
        ...


class Manager(Protocol):
    """The host side of one VM: its hypervisor and what serves it.

    Called in this order: ``prepare``, ``start``, ``serve``, ``shed``, ``close``.
    """

    @property
    def hypervisor(self) -> Hypervisor:
        """The process; it runs from ``start`` on."""
        ...

    async def prepare(self) -> None:
        """Make the disk and what confines the VM. Starts nothing.

        Raises:
            errors.GaoError: what the VM needs is not there, or not permitted.
        """
        ...

    async def start(self) -> Channels:
        """Execute the hypervisor; returns our ends of the console and of the agent's port.

        Raises:
            errors.ProgramMissing: it cannot be executed.
            errors.HostError: a file of the VM cannot be opened, or it cannot be confined.
        """
        ...

    async def serve(self) -> None:
        """Start what serves the guest beside the hypervisor: its shares, its network.

        Raises:
            errors.ProgramMissing, errors.HostError: as ``start``.
        """
        ...

    def shed(self) -> None:
        """Drop the rights that this process needs no more, once the VM runs."""
        ...

    async def close(self) -> None:
        """End what serves the VM and release all that was prepared. Idempotent."""
        ...

    async def cause_of_end(self, status: int) -> errors.GaoError:
        """Why the hypervisor, which nobody had asked to, ended with that status."""
        ...

    async def grow_disk(self, size_bytes: int) -> None:
        """Give the root disk that size; nothing happens to one that has it.

        Raises:
            errors.DiskShrink: the disk is larger.
            errors.HypervisorFailed: the hypervisor refused it.
        """
        ...

    @property
    def network_problem(self) -> errors.GaoError | None:
        """Why the guest has no way out now."""
        ...

    def confinement(self) -> results.Confinement | None:
        """What the hypervisor is kept from, for ``status``; None before the first start."""
        ...

    def guard(self, share: ShareDevice) -> results.Guard:
        """What holds for the server of a share, for ``status``."""
        ...


class Create(Protocol):
    """Makes the manager of one VM, of which nothing exists yet."""

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
    """A back end, by ``spec.boot.backend``.

    Raises:
        errors.ConfigError: there is none of that name.
    """
    return cast("Backend", importlib.import_module(backends.find(name).manager))


def load_all() -> None:
    """Import every back end, builder and manager: after a fork no driver imports anything."""
    for backend in backends.present():
        backends.builder(backend.name)
        of(backend.name)
