"""The transitions: what a VM must be before, how one begins, and what may be true afterwards.

``Outcome.told`` is what the client heard. What was acknowledged must be true afterwards. If no
acknowledgement came, because the daemon died, either the old state or the wanted state may hold:
the client cannot know whether the daemon had recorded the wish.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple

from tests.crash.settling import settled
from tests.crash.world import NAME, DaemonEnded, World

from gaovm import errors
from gaovm.builder import qcow2

#: The named disk of the transitions that have one.
DISK = "data"
Told = Literal["done", "refused", "nothing"]
_ITS_PROCESSES = ("driver", "hypervisor")
_ANYBODY = ("daemon", "zygote", *_ITS_PROCESSES)


class Outcome(NamedTuple):
    """What the client heard: done, refused with an error, or nothing, as the daemon died."""

    told: Told
    error: str = ""


class Seen(NamedTuple):
    """A VM after everything has settled: it exists and runs, exists and is stopped, or is gone."""

    life: Literal["running", "stopped", "gone"]
    cpus: int = 1
    env: bool = False
    #: The size of the named disk in MiB; None if there is none.
    disk: int | None = None


class Transition(NamedTuple):
    """``before`` and ``after`` are the states that are possible after a kill of the daemon."""

    name: str
    what: str
    prepare: Callable[[World], Awaitable[None]]
    run: Callable[[World], Awaitable[None]]
    before: str
    after: str
    #: Which deaths may end it in an error: a first ``up`` fails if its driver dies, and says so.
    refused_by: tuple[str, ...] = ()
    #: CPUs in the config: before, and once acknowledged.
    cpus: tuple[int, int] = (1, 1)
    env: tuple[bool, bool] = (False, False)
    #: The named disk's size in MiB (None: no disk): before, and once acknowledged.
    disk: tuple[int | None, int | None] = (None, None)
    #: Durable events of which there is exactly one if the transition was acknowledged.
    once: tuple[str, ...] = ()
    #: A variant adds only the steps that earlier ones of its group and platform lack, ...
    variant: bool = False
    #: ... and of these only steps whose names begin with this.
    of: str = ""
    #: Runs with the half of the platform that any Unix has: there is no zygote.
    portable: bool = False

    @property
    def starts(self) -> int | None:
        """How often the VM is started if nothing of it is killed; None: it depends."""
        if self.name == "restart-given-up":
            return None  # on the restarts before
        return int(self.group in ("create", "start", "restart", "apply"))

    @property
    def group(self) -> str:
        """The transition of which this is one course."""
        return self.name.partition("-")[0]


# what must be before


async def running(world: World) -> None:
    """Running, and never restarted since somebody asked for it."""
    world.behave({})
    state = await world.status()
    if state is not None and state["restarts"]["attempts"]:
        await world.call("vm.stop", name=NAME)
        state = await settled(world)
    if state is None:
        await world.call("vm.up", **world.up_params())
    elif state["readiness"] != "ready" or state["desired"] != "running":
        await world.call("vm.start", name=NAME)
    await settled(world)


async def plain(world: World) -> None:
    """Running, with the file's config, and nothing waits for the next start."""
    state = await world.status()
    # A disk never shrinks, so its size stays in the layer.
    if state is not None and (set(state["overrides"]) - {"disk"} or state["cpus"] != 1):
        await world.call("vm.stop", name=NAME)
        await world.call("vm.config.set", name=NAME, changes={}, discard=True)
    await running(world)


async def stopped(world: World) -> None:
    """Stopped, with the file's config, and nothing waits for the next start."""
    await plain(world)
    await world.call("vm.stop", name=NAME)
    await settled(world)


async def absent(world: World) -> None:
    world.behave({})
    world.own_loader = False
    if await world.status() is not None:
        await world.call("vm.destroy", name=NAME)
    await world.call("image.prune")
    await settled(world)


async def staged(world: World) -> None:
    """Running, and the next start changes something."""
    await plain(world)
    await world.call("vm.config.set", name=NAME, changes={"cpus": 2})


async def waiting(world: World) -> None:
    """Stopped, and the next start changes something."""
    await staged(world)
    await world.call("vm.stop", name=NAME)
    await settled(world)


async def deaf(world: World) -> None:
    """Running, with a guest whose agent does not power it off."""
    await _with(world, {"power": "ignore-agent"})


async def stubborn(world: World) -> None:
    """Running, with a guest that does not power itself off at all."""
    await _with(world, {"power": "ignore"})


async def _with(world: World, behaviour: dict[str, Any]) -> None:
    await plain(world)
    await world.call("vm.stop", name=NAME)
    world.behave(behaviour)
    await world.call("vm.start", name=NAME)
    await settled(world)


async def doomed(world: World) -> None:
    """Absent, and its hypervisor will fail to run."""
    await absent(world)
    world.behave({"exit": [1, "no"]})


async def absent_with_loader(world: World) -> None:
    """Absent, and its image will have a boot loader of its own."""
    await absent(world)
    world.own_loader = True


async def failing(world: World) -> None:
    """Running, but its hypervisor will fail to run a second time."""
    await plain(world)
    world.behave({"exit": [1, "no"]})


async def without_disk(world: World) -> None:
    """Absent, and no named disk either."""
    await absent(world)
    for disk in (await world.call("disk.list"))["disks"]:
        await world.call("disk.remove", name=disk["name"])


async def with_disk(world: World) -> None:
    """Absent, and a named disk of 8 MiB is there."""
    await without_disk(world)
    await world.call("disk.create", name=DISK, size_bytes=8 << 20)


async def with_foreign_disk(world: World) -> None:
    """Like ``with_disk``, with a file whose first table has no room to grow."""
    await without_disk(world)
    await bring_disk(world)


# how they are begun


async def bring_disk(world: World) -> None:
    """Import a qcow2 file of 8 MiB."""
    made = qcow2.new(8 << 20)
    path = world.project / "foreign.qcow2"
    path.write_bytes(made.head.ljust(made.file_bytes, b"\0"))
    await world.call("disk.import", name=DISK, path=str(path))


def on_disk(method: str, **params: Any) -> Callable[[World], Awaitable[None]]:
    async def run(world: World) -> None:
        await world.call(method, name=DISK, **params)

    return run


def call(method: str, **params: Any) -> Callable[[World], Awaitable[None]]:
    async def run(world: World) -> None:
        await world.call(method, name=NAME, **params)

    return run


async def up(world: World) -> None:
    await world.call("vm.up", **world.up_params())


async def make(world: World) -> None:
    """Make a VM, and start nothing."""
    await world.call("vm.create", **world.up_params())


async def upgrade(world: World) -> None:
    world.upgrades += 1
    await world.call("daemon.upgrade")


async def grow(world: World) -> None:
    """Grow the disk while the VM runs."""
    state = await world.status()
    assert state is not None
    changes = {"disk": f"{(state['disk_bytes'] >> 20) + 64}MiB"}
    await world.call("vm.config.set", name=NAME, changes=changes)


async def forward_taken(world: World) -> None:
    """Make the project file ask for a port that another process has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        params = world.up_params()
        port = taken.getsockname()[1]
        params["config_text"] = params["config_text"].replace("hostPort: 0", f"hostPort: {port}")
        await world.call("vm.up", **params)


async def die(world: World) -> None:
    """End the hypervisor although nobody asked."""
    world.kill("hypervisor")
    await settled(world)


async def new_daemon(world: World) -> None:
    """Replace the daemon while an old driver has not left yet."""
    assert world.daemon is not None
    guests = world.pids("hypervisor")
    _signal(guests, signal.SIGSTOP)
    try:
        world.daemon.kill()
        await world.daemon.wait()
        await world.start_daemon()
    finally:
        _signal(guests, signal.SIGCONT)
    await settled(world)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


ALL = (
    Transition(
        "create",
        "`gaovm up` of a new VM, its image pulled",
        absent,
        up,
        "gone",
        "running",
        _ITS_PROCESSES,
    ),
    Transition(
        "create-failing",
        "`gaovm up` of a new VM whose hypervisor does not run",
        *(doomed, up, "gone", "stopped", _ANYBODY),
        variant=True,
    ),
    Transition(
        "create-firmware",
        "`gaovm up` of a new VM whose image boots by UEFI",
        *(absent_with_loader, up, "gone", "running", _ITS_PROCESSES),
        variant=True,
        of="vmmanager.",
    ),
    Transition("make", "`gaovm lima create`", absent, make, "gone", "stopped"),
    Transition(
        "start", "`gaovm start`", stopped, call("vm.start", wait="ready"), "stopped", "running"
    ),
    Transition(
        "start-portable",
        "`gaovm start` as on a system without fork server",
        *(stopped, call("vm.start", wait="ready"), "stopped", "running"),
        variant=True,
        of="daemon.drivers.",
        portable=True,
    ),
    Transition("stop", "`gaovm stop`", plain, call("vm.stop"), "running", "stopped"),
    Transition(
        "stop-force",
        "`gaovm stop --force`",
        *(stubborn, call("vm.stop", force=True), "running", "stopped"),
        variant=True,
    ),
    Transition(
        "stop-acpi",
        "`gaovm stop` of a guest whose agent does not obey",
        *(deaf, call("vm.stop", timeout_s=6.0), "running", "stopped"),
        variant=True,
    ),
    Transition(
        "restart",
        "`gaovm restart`",
        *(plain, call("vm.restart", wait="ready"), "running", "running"),
    ),
    Transition(
        "restart-died",
        "the hypervisor dies and is restarted",
        plain,
        die,
        "running",
        "running",
        variant=True,
    ),
    Transition(
        "restart-given-up",
        "the hypervisor dies again and again",
        *(failing, die, "stopped", "stopped"),
        variant=True,
    ),
    Transition(
        "restart-daemon",
        "the daemon dies and the next one starts what should run",
        *(plain, new_daemon, "running", "running"),
        of="daemon.lifecycle.recovery.",
        variant=True,
    ),
    Transition(
        "stage",
        "`gaovm set cpus=2` while it runs",
        *(plain, call("vm.config.set", changes={"cpus": 2}), "running", "running"),
        cpus=(1, 2),
        once=("vm.config.staged",),
    ),
    Transition(
        "stage-discard",
        "`gaovm set --discard` of what waits",
        *(staged, call("vm.config.set", changes={}, discard=True), "running", "running"),
        cpus=(2, 1),
        once=("vm.config.discarded",),
    ),
    Transition(
        "stage-live",
        "`gaovm set env.A=b`, which the running VM takes at once",
        *(plain, call("vm.config.set", changes={"env.A": "b"}), "running", "running"),
        env=(False, True),
    ),
    Transition(
        "stage-disk",
        "`gaovm set disk=…`, which the running VM takes at once",
        *(plain, grow, "running", "running"),
    ),
    Transition(
        "stage-refused",
        "the project file asks for a port that is taken",
        *(plain, forward_taken, "running", "running"),
        refused_by=_ITS_PROCESSES,
    ),
    Transition(
        "apply",
        "`gaovm start` with a change that waits",
        *(waiting, call("vm.start", wait="ready"), "stopped", "running"),
        cpus=(2, 2),
        once=("vm.config.applied",),
    ),
    Transition(
        "provision",
        "`gaovm provision`",
        *(plain, call("vm.provision"), "running", "running"),
        refused_by=_ITS_PROCESSES,
        variant=True,
    ),
    Transition("destroy", "`gaovm destroy`", plain, call("vm.destroy"), "running", "gone"),
    Transition(
        "disk",
        "`gaovm disk create`",
        *(without_disk, on_disk("disk.create", size_bytes=8 << 20), "gone", "gone"),
        disk=(None, 8),
    ),
    Transition(
        "disk-import",
        "`gaovm disk import` of a qcow2 file",
        *(without_disk, bring_disk, "gone", "gone"),
        disk=(None, 8),
        variant=True,
    ),
    Transition(
        "disk-resize",
        "`gaovm disk resize`",
        *(with_disk, on_disk("disk.resize", size_bytes=16 << 20), "gone", "gone"),
        disk=(8, 16),
    ),
    Transition(
        "disk-resize-foreign",
        "`gaovm disk resize` of a file that only `qemu-img` can grow",
        *(with_foreign_disk, on_disk("disk.resize", size_bytes=1 << 30), "gone", "gone"),
        disk=(8, 1024),
        variant=True,
    ),
    Transition(
        "disk-remove",
        "`gaovm disk rm`",
        *(with_disk, on_disk("disk.remove"), "gone", "gone"),
        disk=(8, None),
    ),
    Transition(
        "disk-daemon",
        "the daemon dies and the next one looks at the disks",
        *(with_disk, new_daemon, "gone", "gone"),
        disk=(8, 8),
        of="daemon.disks.",
        variant=True,
    ),
    Transition(
        "upgrade",
        "`gaovm daemon upgrade` with a running VM",
        *(plain, upgrade, "running", "running"),
        once=("daemon.upgraded",),
    ),
)


async def outcome(transition: Transition, world: World) -> Outcome:
    """Run a transition and return what the client heard."""
    try:
        await transition.run(world)
    except (errors.ConnectionLost, errors.DaemonUnreachable, DaemonEnded, ConnectionError):
        return Outcome("nothing")
    except errors.GaoError as exc:
        return Outcome("refused", exc.message)
    return Outcome("done")


async def finished(task: asyncio.Task[Outcome], limit_s: float) -> bool:
    """Whether the call was answered within the limit."""
    await asyncio.wait([task], timeout=limit_s)
    return task.done()
