"""A daemon in memory: real store and methods, fake drivers, no socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gaovm import errors
from gaovm.aio import tasks
from gaovm.daemon import operations, paths
from gaovm.daemon.dispatch import context, service
from gaovm.daemon.lifecycle import start, supervisor
from gaovm.daemon.lifecycle.strategies import cold_boot
from gaovm.daemon.storage import events, records, store
from gaovm.daemon.vms import lookups, machine, project_file
from gaovm.daemon.vms.fleet import Fleet
from gaovm.hostfacts import limits
from gaovm.spec import disks, guest
from gaovm.spec.vm import VmSpec
from gaovm.testing import fake_driver
from gaovm.wire.control import vms
from gaovm.wire.control.progress import Progress
from gaovm.wire.driver import launch

IMAGE = records.ImageRef(name="debian:12", digest="sha256:" + "ab" * 32, kernel="generic")


class Preparer:
    """Delivers images at once, unless ``gate`` blocks or ``failure`` is set."""

    def __init__(self) -> None:
        self.failure: errors.GaoError | None = None
        self.fresh: list[bool] = []

    async def prepare(
        self, vm: machine.Machine, progress: operations.Listener, *, fresh_disk: bool
    ) -> cold_boot.PreparedBoot:
        self.fresh.append(fresh_disk)
        progress(Progress(phase="image", message="unpacking", percent=50))
        if self.failure is not None:
            raise self.failure
        vm.fleet.paths.vm_dir(vm.name).mkdir(exist_ok=True)
        return cold_boot.PreparedBoot(image=IMAGE, files=launch.Image(disk="x", kernel="k"))


class Call:
    """Records the messages that a connection would receive."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.subscribed = False

    def progress(self, data: Progress) -> None:
        self.seen.append(msgspec.to_builtins(data))

    @property
    def origin(self) -> None:
        return None

    def cancel(self, request_id: int | str, wish: str | None = None) -> bool:
        return False

    def subscribe(self, since: int | None = None) -> None:
        self.subscribed = True


class NoZygote:
    pid = None


async def load_config(args: vms.ProjectFile, where: paths.Paths) -> project_file.Wanted:
    """Read the config text as the disk's size in GiB."""
    user = guest.User(name=args.user.name, uid=args.user.uid, gid=args.user.gid, home="/home/u")
    spec = VmSpec(
        name=args.name or (args.usual_name if isinstance(args, project_file.Placed) else "web-dev"),
        image=disks.Image(location="debian:12"),
        guest=guest.Guest(user=user, hostname="web"),
        disk=disks.Disk(size_bytes=int(args.config_text) << 30),
    )
    return project_file.Wanted(spec=spec, project=args.project_dir, config_path=args.config_path)


class Daemon:
    """The parts of a daemon that methods touch, and a way to call them."""

    def __init__(self, home: Path, owner: tasks.TaskOwner, second: tasks.TaskOwner) -> None:
        self.second = second  # for the daemon that follows after this one crashed
        where = paths.Paths(home)
        where.make()
        self.database = store.open_store(where.database)
        self.fleet = Fleet(where, self.database, events.Events(self.database), owner)
        self.launcher = fake_driver.FakeLauncher()
        self.preparer = Preparer()
        starter = start.Starter(self.preparer, self.launcher, "boot-1")
        self.supervisor = supervisor.Supervisor(self.fleet, starter, chance=lambda: 0.5)
        self.ctx = context.Daemon(
            fleet=self.fleet,
            starter=starter,
            images=None,  # type: ignore[arg-type]
            zygote=NoZygote(),
            supervisor=self.supervisor,
            started_at="2026-01-01T00:00:00.000Z",
            request_stop=lambda: None,
            load_config=load_config,
        )
        self.events = self.fleet.events.subscribe()

    async def call(self, method: str, call: Call | None = None, **data: Any) -> Any:
        """Return the result as JSON data, as a client in any language sees it."""
        result = await service.dispatch(self.ctx, call or Call(), method, data)
        return msgspec.json.decode(msgspec.json.encode(result))

    async def up(self, call: Call | None = None, **data: Any) -> Any:
        return await self.call("vm.up", call, **{**up_params(), **data})

    async def status(self, name: str = "web-dev") -> Any:
        return await self.call("vm.status", name=name)

    async def rest(self) -> None:
        """Give pending work enough turns of the disk and the loop to finish."""
        for _ in range(8):
            await self.database.flush()
            await asyncio.sleep(0.01)

    def stored(self) -> dict[str, records.VmRecord]:
        """Return the records that a daemon would find if it started now."""
        return {record.name: record for record in self.database.load()}

    @property
    def driver(self) -> fake_driver.FakeDriver:
        return self.launcher.launched[-1]


def up_params() -> dict[str, Any]:
    return {
        "project_dir": "/src/web",
        "config_path": "/src/web/.lima/config.yaml",
        "config_text": "20",
        "user": {"name": "u", "uid": 1000, "gid": 1000, "comment": ""},
    }


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a host with free memory, however busy the real host is."""
    monkeypatch.setattr(limits, "memory", lambda: limits.Memory(64 << 30, 32 << 30))
    monkeypatch.setattr(limits, "cpus", lambda: 8)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look-ups come to their end in one turn: a busy machine cannot hold their threads up."""

    async def run(function: Callable[..., Any], *args: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args)

    monkeypatch.setattr(lookups, "run", run)


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with tasks.TaskOwner("one") as owner, tasks.TaskOwner("two") as second:
        made = Daemon(tmp_path / "home", owner, second)
        yield made
    made.database.close()


@pytest.fixture
def no_errors_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
