"""A storm of kills between stops and starts: does the daemon lose a wish or leave anything behind?

Each VM's own client stops, starts, restarts, destroys and remakes it. Meanwhile the daemon, the
zygote, drivers, hypervisors and share servers are killed at random. What was acknowledged must
hold; what was not acknowledged may hold or not. Every minute the storm pauses until everything
rests; then it compares wishes, processes and sockets with what they should be.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure
from bench.census import Census, Process
from bench.fleet import Fleet, approved_up, fleet

from gaovm import errors

VICTIMS = ("daemon", "zygote", "driver", "hypervisor", "helper")
LEGS_S = 60.0
#: All that a client sees if the daemon is gone, or does not answer soon enough.
_LOST = (errors.ConnectionLost, errors.DaemonUnreachable, OSError, TimeoutError)
#: What each call wants, and how often the storm makes it.
WISHES = {"vm.up": ("running", 5), "vm.stop": ("stopped", 4), "vm.restart": ("running", 2)}
WISHES["vm.destroy"] = ("gone", 1)


class Storm:
    """The VMs, what may be true of each, and what the storm did."""

    def __init__(self, place: Fleet, count: int, pause_s: float, limit_s: float) -> None:
        self.place = place
        self.names = [f"vm{number}" for number in range(count)]
        self.pause_s = pause_s
        self.limit_s = limit_s
        self.census = Census(place.home)
        self.may: dict[str, set[str]] = {name: {"gone"} for name in self.names}
        #: Set for a moment after a daemon has started.
        self.fresh = asyncio.Event()
        self.killed: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        self.problems: list[str] = []
        self.drift = 0
        self.longest_rest_s = 0.0
        kind = "virtiofs" if Path("/usr/lib/qemu/virtiofsd").exists() else "9p"
        shares = shutil.which("virtiofsd") is not None or kind == "virtiofs"
        self.config = place.config(
            mount_type="virtiofs" if shares else "9p",
            restart={"maxDelay": "1s", "maxAttempts": 1000},
            stop={"grace": "4s", "force": "2s"},
        )

    # wishes

    async def wish(self, name: str, until: float) -> None:
        """Ask for one thing after the other for one VM."""
        while time.monotonic() < until:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(random.expovariate(1 / self.pause_s)):
                    await self.fresh.wait()
            method = random.choices([*WISHES], [weight for _, weight in WISHES.values()])[0]
            if self.fresh.is_set():  # the moment in which the daemon waits for old drivers
                method = random.choice(("vm.stop", "vm.stop", "vm.destroy", "vm.restart"))
            if "gone" in self.may[name]:
                method = "vm.up"
            await self._ask(name, method)

    async def _ask(self, name: str, method: str) -> None:
        after, before = WISHES[method][0], self.may[name]
        # Before the acknowledgement either may hold; a start that fails may leave the VM stopped.
        self.may[name] = before | {after} | ({"stopped"} if after == "running" else set())
        try:
            client = await self.place.connect()
        except _LOST:
            self.told["no daemon"] += 1
            self.may[name] = before
            await asyncio.sleep(0.1)
            return
        try:
            async with asyncio.timeout(self.limit_s):
                if method == "vm.up":
                    await approved_up(client, self.place.up_params(name, self.config))
                else:
                    await client.call(method, {"name": name})
        except _LOST:
            self.told["not answered"] += 1
        except errors.GaoError as exc:
            self.told["refused"] += 1
            self.told[f"refused {method}: {exc.code} {exc.message[:150]}"] += 1
        else:
            self.told["acknowledged"] += 1
            self.may[name] = {after}
            await asyncio.sleep(random.uniform(0, 1))  # let other calls come in between
            with contextlib.suppress(*_LOST):
                await self._holds(name)
        finally:
            with contextlib.suppress(*_LOST, errors.GaoError):
                await client.aclose()

    async def _holds(self, name: str) -> None:
        """Check that the present daemon wants what was acknowledged."""
        client = await self.place.connect()
        try:
            vms = (await client.call("vm.list"))["vms"]
        finally:
            await client.aclose()
        self._compare(name, {vm["name"]: vm["desired"] for vm in vms}.get(name, "gone"))

    def _compare(self, name: str, life: str) -> None:
        if life not in self.may[name]:
            self.problems.append(f"lost wish: {name} is {life}, may be {self.may[name]}")
        self.may[name] = {life}

    # kills

    async def strike(self, until: float, every_s: float) -> None:
        """Kill one process after the other; start a new daemon at once."""
        while time.monotonic() < until:
            await asyncio.sleep(random.expovariate(1 / every_s))
            found = await asyncio.to_thread(self.census.look)
            kinds = {process.kind for process in found.values()}
            victim = random.choice([kind for kind in VICTIMS if kind in kinds])
            await self._kill(victim, [p for p in found.values() if p.kind == victim])

    async def _kill(self, victim: str, among: list[Process]) -> None:
        daemon = self.place.daemon
        assert daemon is not None
        if victim == "daemon":
            daemon.kill()
            await asyncio.to_thread(daemon.wait)
            await self.start()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(random.choice(among).pid, signal.SIGKILL)
        self.killed[victim] += 1

    async def start(self) -> None:
        """Start a daemon, and the connection that observes it."""
        # A slow guest keeps an old driver alive until the next wish comes.
        self.place.env["GAOVM_FAKE_QEMU"] = json.dumps(
            {"power": random.choice(("obey", "ignore-agent", "ignore-agent"))}
        )
        await asyncio.to_thread(self.place.start)
        assert self.place.daemon is not None
        self.census.daemon = self.place.daemon.pid
        with contextlib.suppress(*_LOST, errors.GaoError):
            await self.place.client.aclose()
        self.place.client = await self.place.connect()
        self.fresh.set()
        asyncio.get_running_loop().call_later(0.5, self.fresh.clear)

    async def watch(self) -> None:
        """See every process while its parent lives."""
        while True:
            await asyncio.to_thread(self.census.look)
            await asyncio.sleep(0.5)

    # what must be true

    async def rest(self) -> list[dict[str, Any]]:
        """Return the VMs once nothing is under way any more."""
        began = time.monotonic()
        while True:
            vms: list[dict[str, Any]] = (await self.place.client.call("vm.list"))["vms"]
            restless = [vm["name"] for vm in vms if not _rests(vm)]
            spent = time.monotonic() - began
            if not restless:
                break
            if spent > self.limit_s:
                self.problems.append(f"not at rest after {spent:.0f} s: {restless}")
                break
            await asyncio.sleep(0.2)
        self.longest_rest_s = max(self.longest_rest_s, spent)
        return vms

    async def judge(self) -> None:
        """Compare everything, and add to the problems."""
        vms = {vm["name"]: vm for vm in await self.rest()}
        for name in self.names:
            self._compare(name, vms[name]["desired"] if name in vms else "gone")
        self._sockets(vms)
        for _ in range(50):  # a process that was told to leave may take a moment
            strays = self._strays(vms, await asyncio.to_thread(self.census.look))
            if not strays:
                break
            await asyncio.sleep(0.2)
        self.problems += [f"orphan: {stray}" for stray in strays]
        self.drift += (await self.place.client.call("daemon.status"))["drift_mended"]

    def _strays(self, vms: dict[str, Any], found: dict[int, Process]) -> list[Process]:
        assert self.place.daemon is not None
        roots = {vm["driver_pid"] for vm in vms.values()} | {self.place.daemon.pid}
        belongs: set[int] = set()
        for pid, process in found.items():  # parents first
            zygote = process.parent == self.place.daemon.pid and process.kind == "zygote"
            below = process.parent in belongs - {self.place.daemon.pid}
            zygotes_own = below and process.kind == "driver" and pid not in roots
            if pid in roots or zygote or (below and not zygotes_own):
                belongs.add(pid)
        return [process for pid, process in found.items() if pid not in belongs]

    def _sockets(self, vms: dict[str, Any]) -> None:
        running = {Path(vm["run_dir"]) for vm in vms.values() if vm["desired"] == "running"}
        for path in (self.place.home / "run").rglob("*"):
            if path.is_socket() and path.parent not in running:
                self.problems.append(f"stale socket: {path}")


def _rests(vm: dict[str, Any]) -> bool:
    if vm["desired"] == "running":
        return vm["readiness"] in ("ready", "degraded")
    return vm["observed"] in ("stopped", "failed") and vm["driver_pid"] is None


async def run(options: argparse.Namespace) -> dict[str, Any]:
    async with fleet(real=options.real) as place:
        storm = Storm(place, options.vms, options.pause, options.limit)
        assert place.daemon is not None
        storm.census.daemon = place.daemon.pid
        watching = asyncio.create_task(storm.watch())
        end = time.monotonic() + options.seconds
        while (now := time.monotonic()) < end:
            leg = min(end, now + LEGS_S)
            work = [storm.wish(name, leg) for name in storm.names]
            await asyncio.gather(storm.strike(leg, options.kill_every), *work)
            await storm.judge()
            left = round(end - time.monotonic())
            print(f"  {left} s left, {storm.killed.total()} kills, {storm.told['acknowledged']} "
                  f"acknowledged, problems: {storm.problems}", file=sys.stderr)  # fmt: skip
        watching.cancel()
    problems = storm.problems
    return {
        "vms": options.vms,
        "hypervisor": "qemu" if options.real else "fake",
        "seconds": options.seconds,
        "kills": dict(storm.killed),
        "told": dict(storm.told),
        "wishes_lost": sum(each.startswith("lost wish") for each in problems),
        "orphans": sum(each.startswith("orphan") for each in problems),
        "stale_sockets": sum(each.startswith("stale socket") for each in problems),
        "drift_mended": storm.drift,
        "longest_rest_s": round(storm.longest_rest_s, 1),
        "problems": problems,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--vms", type=int, default=4)
    parser.add_argument("--kill-every", type=float, default=2.0, help="seconds, on average")
    parser.add_argument("--pause", type=float, default=3.0, help="between wishes of one VM")
    parser.add_argument("--limit", type=float, default=120.0, help="for one wish, and to rest")
    parser.add_argument("--real", action="store_true", help="on QEMU instead of the fake")
    options = parser.parse_args()
    result = asyncio.run(run(options))
    measure.report("storm: kills between stops and starts", "python bench/storm.py", **result)
    raise SystemExit(1 if result["problems"] else 0)


if __name__ == "__main__":
    main()
