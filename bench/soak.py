"""200 VMs on the fake hypervisor, killed at random for minutes: nothing may be lost.

Each kill hits a driver or a hypervisor. The report has: restarts per second, time from the kill to
the event of the restart decision (p50, p99), the daemon's CPU and memory growth, and what was lost
(VMs that do not run in the end, missing events, drift that the daemon had to mend).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure
from bench.fleet import Fleet, fleet, percentile
from bench.seat import processes

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


class Soak:
    """The VMs, which process was killed when, and what the daemon reported of it."""

    def __init__(self, place: Fleet, count: int, per_s: float) -> None:
        self.place, self.count, self.per_s = place, count, per_s
        self.killed: dict[str, float] = {}
        self.reactions: list[float] = []
        self.restarts = 0
        self.given_up = 0
        self.seqs: list[int] = []

    async def watch(self) -> None:
        client = await self.place.connect()
        with await client.subscribe() as events:
            async for event in events:
                self.seqs.append(event.seq)
                name, kind = event.vm, event.type
                if kind == "driver.restart_scheduled" and name in self.killed:
                    self.reactions.append((time.monotonic() - self.killed.pop(name)) * 1000)
                    self.restarts += 1
                self.given_up += kind == "driver.permanent_failure"

    async def kill(self, seconds: float) -> int:
        end, kills = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            await asyncio.sleep(random.expovariate(self.per_s))
            vms = (await self.place.client.call("vm.list"))["vms"]
            ready = [vm for vm in vms if vm["readiness"] == "ready" and vm["hypervisor_pid"]]
            if not ready:
                continue
            vm = random.choice(ready)
            pid = vm[random.choice(("driver_pid", "hypervisor_pid"))]
            if pid is None or vm["name"] in self.killed:
                continue
            self.killed[vm["name"]] = time.monotonic()
            try:
                os.kill(pid, signal.SIGKILL)
                kills += 1
            except ProcessLookupError:
                self.killed.pop(vm["name"], None)
        return kills

    async def settle(self) -> list[str]:
        """Return the VMs that do not run although they should, after a minute at most."""
        end = time.monotonic() + 60
        while True:
            vms = (await self.place.client.call("vm.list"))["vms"]
            missing = [vm["name"] for vm in vms if vm["readiness"] != "ready"]
            if (not missing and len(vms) == self.count) or time.monotonic() > end:
                return missing
            await asyncio.sleep(0.5)


async def run(count: int, seconds: float, per_s: float) -> dict[str, Any]:
    async with fleet() as place:
        soak = Soak(place, count, per_s)
        config = place.config(restart={"maxDelay": "1s", "maxAttempts": 1000})
        for number in range(count):
            await place.up(f"vm{number}", config)
            if number % 20 == 19:
                print(f"  {number + 1} VMs run", file=sys.stderr)
        watching = asyncio.get_running_loop().create_task(soak.watch())
        await asyncio.sleep(0.2)
        assert place.daemon is not None
        pid = place.daemon.pid
        before = await place.client.call("daemon.status")
        cpu, began = cpu_s(pid), time.monotonic()
        kills = await soak.kill(seconds)
        spent = time.monotonic() - began
        used = cpu_s(pid) - cpu
        lost = await soak.settle()
        after = await place.client.call("daemon.status")
        watching.cancel()
        gaps = sum(b - a != 1 for a, b in zip(soak.seqs, soak.seqs[1:], strict=False))
        result = {
            "vms": count,
            "seconds": round(spent),
            "kills": kills,
            "restarts_per_s": round(soak.restarts / spent, 2),
            "reaction_ms": {
                "p50": round(percentile(soak.reactions, 0.5), 2),
                "p99": round(percentile(soak.reactions, 0.99), 2),
            },
            "daemon_cpu_percent": round(100 * used / spent, 1),
            "daemon_rss_mib": [round(x["rss_bytes"] / 2**20, 1) for x in (before, after)],
            "events": len(soak.seqs),
            "event_gaps": gaps,
            "vms_lost": lost,
            "given_up": soak.given_up,
            "drift_mended": after["drift_mended"],
        }
        home = place.home
    result["processes_left"] = len(processes(home))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vms", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--kills-per-second", type=float, default=3)
    options = parser.parse_args()
    result = asyncio.run(run(options.vms, options.seconds, options.kills_per_second))
    measure.report("soak: VMs killed at random", "python bench/soak.py", **result)


if __name__ == "__main__":
    main()
