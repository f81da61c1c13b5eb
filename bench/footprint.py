"""Memory: the driver's private pages, and the cost per VM of all processes beside QEMU."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure
from bench.seat import CONFIG, Seat, private_kib, processes, pss_kib, seat


def beside_qemu(place: Seat) -> int:
    total = 0
    for pid, line in processes(place.home).items():
        if "qemu-system" not in line.split(" ")[0]:
            total += pss_kib(pid)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vms", type=int, default=5)
    count = parser.parse_args().vms
    with seat() as place:
        totals = []
        private = []
        for number in range(count):
            config = CONFIG.replace("512MiB", "256MiB")
            project = place.project(f"vm{number}", config)
            place.run("up", "--wait=agent", cwd=project)
            place.run("exec", "--", "true", cwd=project)
            status = place.json("status", cwd=project)
            private.append(private_kib(status["driver_pid"]))
            totals.append(beside_qemu(place))
            print(f"  {number + 1} VMs: {totals[-1]} KiB beside QEMU", file=sys.stderr)
        mounts = status["mounts"][0]["type"]
        measure.report(
            "driver's private memory, its VM running, after one exec",
            "python bench/footprint.py",
            private_kib=measure.summary(private, 0),
            goal="<= 8192 KiB",
        )
        measure.report(
            f"PSS of all processes beside QEMU, slope from 1 to {count} VMs ({mounts} included)",
            "python bench/footprint.py",
            totals_kib=totals,
            slope_mib=round((totals[-1] - totals[0]) / (count - 1) / 1024, 2),
            goal="<= 11 MiB",
        )


if __name__ == "__main__":
    main()
