"""The parts of the daemon that methods use, and what a method knows about its call."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn, Protocol, TypeVar

from gaovm import errors
from gaovm.aio import stalls
from gaovm.daemon import operations, paths
from gaovm.daemon.dispatch import upgrade_gate
from gaovm.daemon.lifecycle import start
from gaovm.daemon.vms import machine, project_file
from gaovm.daemon.vms.fleet import Fleet
from gaovm.errors import suggestions
from gaovm.ipc import connection
from gaovm.wire.control import images, vms
from gaovm.wire.control.progress import Progress

Result = TypeVar("Result")


class Images(Protocol):
    """The image store as the methods use it."""

    async def all(self) -> list[images.ImageInfo]:
        """Every image of the store."""
        ...

    async def build(self, wanted: images.Build, progress: operations.Listener) -> images.ImageInfo:
        """Build an image; callers of the same build share it. A cancelled caller withdraws."""
        ...

    async def pull(
        self, location: str, digest: str | None, progress: operations.Listener
    ) -> images.ImageInfo:
        """Fetch an image; callers share it as they share a build."""
        ...

    async def remove(self, ref: str, used: dict[str, list[str]]) -> images.Pruned:
        """Remove an image that no VM uses."""
        ...

    async def prune(self, used: dict[str, list[str]]) -> images.Pruned:
        """Remove what no VM uses."""
        ...

    async def clear_cache(self) -> int:
        """Remove what can be made again; returns the bytes freed."""
        ...

    async def sweep(self) -> None:
        """Remove what an interrupted build or pull left."""
        ...


class Zygote(Protocol):
    """The process that drivers are forked from."""

    @property
    def pid(self) -> int | None:
        """Its pid, None while there is none."""
        ...


class Supervisor(Protocol):
    """Keeps VMs in the state that users want."""

    #: How often the safety reconcile corrected a difference that no event explains.
    mended: int


class Upgrader(Protocol):
    """Lets new code take over."""

    async def run(
        self,
        caller: connection.Request,
        progress: Callable[[str, str], None],
        timeout_s: float,
    ) -> NoReturn:
        """Execute the code that is installed now, which then answers the caller."""
        ...


@dataclasses.dataclass
class Daemon:
    """The daemon, as methods see it. ``request_stop`` begins a graceful end of the process."""

    fleet: Fleet
    starter: start.Starter
    images: Images
    zygote: Zygote
    supervisor: Supervisor
    started_at: str
    request_stop: Callable[[], None]
    load_config: Callable[[vms.ProjectFile, paths.Paths], Awaitable[project_file.Wanted]] = (
        project_file.load
    )
    watch: stalls.Watch = dataclasses.field(default_factory=stalls.Watch)
    stopping: bool = False
    upgrade_gate: upgrade_gate.Gate = dataclasses.field(default_factory=upgrade_gate.Gate)
    upgrade: Upgrader | None = None

    def find(self, name: str) -> machine.Machine:
        """Find the machine of that name.

        Raises:
            errors.VmNotFound: no VM has it; the remedy suggests a similar name.
        """
        vm = self.fleet.machines.get(name)
        if vm is not None:
            return vm
        meant = suggestions.did_you_mean(name, self.fleet.machines)
        raise errors.VmNotFound(
            f"there is no VM {name!r}",
            remedy=meant,
            actions=() if meant else (errors.Action("list_vms"),),
        )

    def lasting(self, name: str, work: Coroutine[Any, Any, Result]) -> operations.Operation[Result]:
        """Begin work that goes on when its caller goes away."""
        operation = operations.Operation[Result](name)
        operation.start(self.fleet.owner, work)
        operation.keep()
        going_on = {each for each in self.fleet.lasting if not each.done}
        self.fleet.lasting = {*going_on, operation}
        return operation

    async def to_its_end(self, name: str, work: Coroutine[Any, Any, Result]) -> Result:
        """Run work that goes on when its caller goes away, and wait for its result."""
        return await self.lasting(name, work).result(lambda _: None)


class Call(Protocol):
    """One request of a client."""

    def progress(self, data: Progress) -> None:
        """Send a ``progress`` notification for this call."""
        ...

    @property
    def origin(self) -> connection.Request | None:
        """The request on its connection; None in a process without connections."""
        ...

    def cancel(self, request_id: int | str, wish: str | None = None) -> bool:
        """Withdraw from another call of the same connection; False when it is not pending."""
        ...

    def subscribe(self, since: int | None = None) -> None:
        """Send events to this connection: those after ``since``, or from now on."""
        ...
