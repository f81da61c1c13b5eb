"""A hostile agent floods its driver: peak memory, and how long others wait meanwhile.

A real driver runs with a stand-in for QEMU. Sixty-four commands run whose output nobody reads while
the agent floods; then another agent connects. The volume counts what the driver has taken in.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure
from tests.process.driver import harness
from tests.process.driver.test_health import Vm

from gaovm.testing import floods

SESSIONS = 64
LIMIT_S = 600.0


async def flood(name: str, volume: int, base: Path) -> dict[str, float]:
    """Flood once: peak MiB, the longest and the usual answer in ms, seconds until all is well."""
    path = harness.fake_qemu_path(base / "bin")
    with tempfile.TemporaryDirectory(prefix="fl", dir="/tmp") as ear:
        options = json.dumps({"control": ear})
        async with harness.Zygote(PATH=path, GAOVM_FAKE_QEMU=options) as zygote:
            request = harness.launch_request(base)
            link = await zygote.fork("flood", base / "vm" / "driver.log")
            await link.call("vm.configure", request)
            await link.call("vm.start")
            await link.until(readiness="ready")
            pid = (await link.call("vm.status"))["hypervisor_pid"]
            sessions = [await harness.Session.open(link, "exec") for _ in range(SESSIONS)]
            for session in sessions:
                await session.send(1, b'{"argv":["/bin/cat"]}')
            idle = harness.resident_kib(link.pid)
            told, began = len(link.states), time.perf_counter()
            Vm(link, Path(ear), pid).order(flood=name, bytes=volume)
            back = asyncio.create_task(link.until(after=told, readiness="ready", limit_s=LIMIT_S))
            waits = []
            while not back.done():
                at = time.perf_counter()
                await link.call("vm.status")
                waits.append((time.perf_counter() - at) * 1000)
                await asyncio.wait([back], timeout=0.01)
            await back
            return {
                "idle_mib": round(idle / 1024, 1),
                "peak_mib": round(harness.resident_kib(link.pid, "VmHWM") / 1024, 1),
                "median_answer_ms": round(sorted(waits)[len(waits) // 2], 1),
                "longest_answer_ms": round(max(waits), 1),
                "over_after_s": round(time.perf_counter() - began, 1),
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=8, help="volume of each flood")
    parser.add_argument("names", nargs="*", default=floods.NAMES)
    options = parser.parse_args()
    found = {}
    for name in options.names:
        with tempfile.TemporaryDirectory(prefix="gaovm-flood.") as base:
            found[name] = asyncio.run(flood(name, options.mib << 20, Path(base)))
            print(name, found[name], file=sys.stderr)
    measure.report(
        "a hostile agent's floods against its driver",
        f"python bench/flood.py --mib {options.mib}",
        **found,
        worst_mib=max(one["peak_mib"] for one in found.values()),
        goal="<= 64 MiB",
    )


if __name__ == "__main__":
    main()
