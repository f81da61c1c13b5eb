"""Time `up` of a stopped VM until the agent is ready, against bare QEMU with the same command line.

Both sides boot the same kernel, initramfs, disk and devices to the same line of the agent. Our time
is the whole of `gaovm up --wait=agent`, from the shell's exec to its end; the daemon runs already.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure
from bench.bare import BareVm
from bench.seat import CONFIG, Seat, seat

BOOT_KEYS = ("agent_ms", "ready_ms")


def bare_boot(explained: dict[str, Any]) -> float:
    vm = BareVm(explained)
    try:
        vm.drain("console")
        return vm.wait_for("agent", b"GAOVM-AGENT/1")
    finally:
        vm.close()


def ours(place: Seat, project: Path) -> float:
    took = measure.timed(lambda: place.run("up", "--wait=agent", cwd=project))
    place.run("stop", cwd=project)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    with seat() as place:
        project = place.project("boot", CONFIG + 'mountType: "9p"\n')
        place.run("up", cwd=project)
        status = place.json("status", cwd=project)
        booted = {key: round(value) for key, value in status["boot"].items() if key in BOOT_KEYS}
        explained = place.json("explain", cwd=project)
        place.run("stop", cwd=project)
        values = measure.interleaved(
            runs,
            ours=lambda: ours(place, project),
            bare=lambda: bare_boot(explained),
        )
        measure.report(
            "up to agent-ready / bare QEMU to the same line",
            "python bench/boot.py",
            ours_s=measure.summary(values["ours"]),
            bare_s=measure.summary(values["bare"]),
            ratio=measure.ratio(values["ours"], values["bare"]),
            goal="<= 1.05",
        )
        measure.report(
            "the first boot: QEMU's exec to the agent, and until the distribution had booted",
            "python bench/boot.py",
            **booted,
        )


if __name__ == "__main__":
    main()
