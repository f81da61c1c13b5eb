"""The safety reconcile over many VMs with nothing to do: the time of one tick, and how it grows.

Half of the VMs run. Their drivers are fakes, but to check one costs what a real check costs. The
other VMs are stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure

from gaovm.aio import tasks
from gaovm.daemon import paths
from gaovm.daemon.lifecycle import start, supervisor
from gaovm.daemon.storage import events, records, store
from gaovm.daemon.vms import machine
from gaovm.daemon.vms.fleet import Fleet
from gaovm.model import states
from gaovm.platform import processes
from gaovm.spec import disks, guest
from gaovm.spec.vm import VmSpec
from gaovm.testing import fake_driver

_SELF, _STARTED = processes.identity(os.getpid())


class Driver(fake_driver.FakeDriver):
    """Checks a real process when asked whether it lives."""

    def alive(self) -> bool:
        return processes.alive(_SELF, _STARTED)


def make(fleet: Fleet, number: int, launcher: fake_driver.FakeLauncher) -> None:
    name = f"vm{number}"
    running = number % 2 == 0
    state = states.VmState(first_up=states.FirstUp.DONE)
    if running:
        state = states.VmState(
            desired=states.Desired.RUNNING,
            observed=states.Observed.RUNNING,
            readiness=states.Readiness.READY,
            first_up=states.FirstUp.DONE,
        )
    user = guest.User(name="u", uid=1, gid=1, home="/home/u")
    spec = VmSpec(
        name=name,
        image=disks.Image(location="debian:12"),
        guest=guest.Guest(user=user, hostname=name),
    )
    record = records.VmRecord(
        name=name,
        project=f"/{name}",
        config_path="",
        spec=spec,
        run_id=f"{number:08x}",
        created_at="",
        state=state,
    )
    vm = machine.Machine(fleet, record)
    if running:
        vm.driver = Driver(vm, launcher)
    fleet.machines[name] = vm


async def run(count: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as base:
        where = paths.Paths(Path(base))
        where.make()
        database = store.open_store(where.database)
        launcher = fake_driver.FakeLauncher()
        async with tasks.TaskOwner("bench") as owner:
            results = {}
            for size in (count // 10, count):
                fleet = Fleet(where, database, events.Events(database), owner)
                starter = start.Starter(None, launcher, "boot")  # type: ignore[arg-type]
                keeper = supervisor.Supervisor(fleet, starter)
                for number in range(size):
                    make(fleet, number, launcher)
                values = [measure.timed(keeper.reconcile) * 1000 for _ in range(rounds)]
                if keeper.mended:
                    raise SystemExit("there was something to do")
                results[size] = measure.summary(values, 3)
        database.close()
    measure.report(
        f"safety reconcile over {count} VMs with nothing to do, ms",
        "python bench/reconcile.py",
        **{f"vms_{size}": value for size, value in results.items()},
        goal="<= 20 ms over 1,000; outside this tick work is proportional to events, not to VMs",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vms", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    asyncio.run(run(options.vms, options.rounds))


if __name__ == "__main__":
    main()
