"""From the request to the hypervisor's exec, and from the fork request to the driver's hello.

The times come from the stamps that daemon and driver leave in a VM's status (monotonic clock, one
machine). The overlay is made, the image is present and the probe is cached.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure
from bench.seat import seat


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    with seat() as place:
        project = place.project("start")
        place.run("up", "--wait=agent", cwd=project)
        execs, hellos = [], []
        for _ in range(runs):
            place.run("stop", cwd=project)
            place.run("up", "--wait=agent", cwd=project)
            boot = place.json("status", cwd=project)["boot"]
            execs.append(boot["request_to_exec_ms"])
            hellos.append(boot["fork_to_hello_ms"])
        measure.report(
            "request decoded by the daemon to the driver's exec of QEMU",
            "python bench/start.py",
            ms=measure.summary(execs, 2),
            goal="<= 20 ms",
        )
        measure.report(
            "driver, fork request to hello",
            "python bench/start.py",
            ms=measure.summary(hellos, 2),
            goal="<= 10 ms",
        )


if __name__ == "__main__":
    main()
