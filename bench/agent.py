"""The agent: its memory, its size, its start."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure
from bench.seat import BOOTED, Seat, seat

# The agent frees memory when nobody has called it for 2 s; to ask for the figure is a call.
IDLE_S = 5.0


def compressed_size(place: Seat) -> int:
    """Return the bytes of the agent's segment: the initramfs without the modules before it."""
    (image,) = (place.home / "images").glob("*/manifest.json")
    (initrd,) = image.parent.glob("initrd-*.img")
    (modules,) = image.parent.glob("modules.cpio*")
    return initrd.stat().st_size - modules.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    with seat() as place:
        project = place.project("agent")
        rss, ready = [], []
        for _ in range(runs):
            place.run("up", cwd=project)
            place.run("exec", "--", "sh", "-c", BOOTED, cwd=project)
            time.sleep(IDLE_S)
            info = place.json("status", "--guest", cwd=project)["guest"]["agent"]
            rss.append(info["rss_bytes"] / (1 << 20))
            ready.append(info["exec_to_ready_ms"])
            place.run("stop", cwd=project)
        measure.report(
            "agent: resident idle, compressed in the initramfs, exec to answering",
            "python bench/agent.py",
            rss_mib=measure.summary(rss, 2),
            goal_rss="<= 8 MiB",
            compressed_mb=round(compressed_size(place) / 1e6, 2),
            goal_compressed="<= 4 MB",
            exec_to_ready_ms=measure.summary(ready, 1),
            goal_ready="<= 100 ms (TCG)",
        )


if __name__ == "__main__":
    main()
