"""An upgrade of the daemon with 3 VMs: the longest gap in its answers, and the total time.

The hypervisor is a fake; the daemon, its drivers and zygotes are real.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure
from tests.process.daemon.conftest import Daemons
from tests.process.daemon.world import World


class Pinging(threading.Thread):
    """Pings on a separate connection; ``longest`` is the longest wait for an answer."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._client = world.daemons.client()
        self._over = threading.Event()
        self.longest = 0.0

    def run(self) -> None:
        while not self._over.is_set():
            took = measure.timed(lambda: self._client.call("ping"))
            self.longest = max(self.longest, took)

    def finish(self) -> float:
        self._over.set()
        self.join()
        self._client.close()
        return self.longest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gu") as base:
        daemons = Daemons(Path(base) / "h")
        world = World(daemons)
        daemon = daemons.start()
        client = daemons.client()
        world.up(client, "one", "two", "three")
        gaps, wholes = [], []
        for number in range(args.runs):
            pinging = Pinging(world)
            pinging.start()
            began = time.perf_counter()
            result = client.call("daemon.upgrade")
            wholes.append(time.perf_counter() - began)
            time.sleep(0.5)  # the new zygote warms up: no ping may wait for that
            gaps.append(pinging.finish())
            if result.get("vms") != 3:
                raise SystemExit(f"the upgrade failed: {result}")
            print(f"  {number + 1}/{args.runs}: gap {gaps[-1]:.4f}", file=sys.stderr)
        daemon.terminate()
        daemon.wait(60)
        daemons.close()
    command = f"python bench/upgrade.py --runs {args.runs}"
    measure.report(
        "upgrade with 3 VMs: longest wait for a ping", command, seconds=measure.summary(gaps)
    )
    measure.report(
        "upgrade with 3 VMs: from the call to its answer", command, seconds=measure.summary(wholes)
    )


if __name__ == "__main__":
    main()
