"""From the kill of a driver or a hypervisor (a real one, 512 MiB) to the event on disk.

Each kill gives two times. One runs from the signal. The other runs from the moment when the kernel
says that the process has ended (its descriptor is readable); the teardown of the guest's memory
delays this moment. Both end when a subscriber in another process has the event, which is after its
commit.

This runs for a guest with memory of its own (mounts by 9p) and for one that shares it (virtiofs):
the kernel frees small pages one by one, and huge pages, which shared memory lacks, at once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure
from bench.fleet import percentile
from bench.seat import CONFIG, Seat, seat

from gaovm.client.async_client import AsyncClient
from gaovm.platform import priority

EVENT = {"driver_pid": "driver.exited", "hypervisor_pid": "hypervisor.exited"}


class Exit(threading.Thread):
    """Notes when a process's end becomes visible; a thread, so that no event loop delays it."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pidfd = os.pidfd_open(pid)
        self.seen_at = 0.0
        self.start()

    def run(self) -> None:
        with priority.first():
            poll = select.poll()
            poll.register(self._pidfd, select.POLLIN)
            poll.poll()
            self.seen_at = time.monotonic()
        os.close(self._pidfd)


async def one(client: AsyncClient, events: Any, name: str, victim: str) -> tuple[float, float]:
    """Return the milliseconds to the event, from the kill and from the visible exit."""
    vm = await client.call("vm.status", {"name": name})
    watching = Exit(vm[victim])
    killed_at = time.monotonic()
    os.kill(vm[victim], signal.SIGKILL)
    while (await anext(events)).type != EVENT[victim]:
        pass
    told_at = time.monotonic()
    watching.join()
    while (await anext(events)).type != "driver.restart_scheduled":
        pass
    while (await client.call("vm.status", {"name": name}))["readiness"] != "ready":
        await anext(events)
    return (told_at - killed_at) * 1000, (told_at - watching.seen_at) * 1000


async def run(place: Seat, mounts: str, runs: int) -> None:
    project = place.project(f"reaction-{mounts}", f"{CONFIG}mountType: {mounts}\n{RESTART}")
    place.run("up", cwd=project)
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(place.home / "gaovmd.sock"))
    async with AsyncClient() as client:
        await client.open(sock)
        with await client.subscribe() as events:
            for victim in EVENT:
                samples = []
                for number in range(runs):
                    samples.append(await one(client, events, f"{project.name}-dev", victim))
                    kill, visible = samples[-1]
                    line = f"  {mounts} {victim} {number + 1}/{runs}: {kill:.2f} {visible:.2f}"
                    print(line, file=sys.stderr)
                report(victim, mounts, samples)
    place.run("destroy", "-y", cwd=project)


def report(victim: str, mounts: str, samples: list[tuple[float, float]]) -> None:
    measure.report(
        f"kill -9 of the {victim.partition('_')[0]} to its event on disk, {mounts}, ms",
        "python bench/reaction.py",
        from_kill=summary([kill for kill, _ in samples]),
        from_visible_exit=summary([visible for _, visible in samples]),
        # Any parent of the process would have waited this long: nothing of it is ours.
        kernel=summary([kill - visible for kill, visible in samples]),
        goal="p99 <= 15 ms; of it from the visible exit <= 5 ms",
    )


def summary(values: list[float]) -> dict[str, float]:
    return {**measure.summary(values, 2), "p99": round(percentile(values, 0.99), 2)}


RESTART = """\
vmOpts:
  gaovm:
    restart: {maxDelay: 10ms, maxAttempts: 1000}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    # In real time: the stopwatch waits for no processor.
    with seat() as place, priority.realtime(), priority.first():
        for mounts in ("9p", "virtiofs"):
            asyncio.run(run(place, mounts, runs))


if __name__ == "__main__":
    main()
