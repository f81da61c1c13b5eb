"""How far the guest's clock is from the host's: at ready, later, and after a pause.

A program in the guest prints its time for each line that it reads. Of many exchanges the quickest
one counts. Its answer is wrong by at most half of the time that the exchange took.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure
from bench.seat import GAOVM, Seat, seat

PROGRAM = '$| = 1; while (<STDIN>) { printf "%.6f\\n", Time::HiRes::time() }'
EXCHANGES = 50


def offset_ms(place: Seat, project: Path) -> tuple[float, float]:
    """Return the guest's time minus ours, and the largest error of that; both in milliseconds."""
    argv = [GAOVM, "exec", "--", "perl", "-MTime::HiRes", "-e", PROGRAM]
    best = (0.0, float("inf"))
    with subprocess.Popen(
        argv, cwd=project, env=place.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        if child.stdin is None or child.stdout is None:
            raise SystemExit("no pipes")
        for _ in range(EXCHANGES):
            wall, began = time.time(), time.perf_counter()
            child.stdin.write("\n")
            child.stdin.flush()
            guest = float(child.stdout.readline())
            took = time.perf_counter() - began
            if took / 2 < best[1]:
                best = (guest - wall - took / 2, took / 2)
        child.stdin.close()
    return best[0] * 1000, best[1] * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--later", type=float, default=60, help="seconds of the longest wait")
    options = parser.parse_args()
    found: dict[str, list[float]] = {"ready": [], "later": [], "paused": []}
    doubts: list[float] = []
    with seat() as place:
        project = place.project("clock")
        for _ in range(options.runs):
            place.run("up", cwd=project)
            for name in found:
                if name == "later":
                    time.sleep(options.later)
                if name == "paused":
                    place.run("pause", cwd=project)
                    time.sleep(5)
                    place.run("resume", cwd=project)
                    time.sleep(2)
                offset, doubt = offset_ms(place, project)
                found[name].append(offset)
                doubts.append(doubt)
                print(f"{name}: {offset:+.2f} ms, within {doubt:.2f}", file=sys.stderr)
            place.run("stop", cwd=project)
    measure.report(
        "the guest's clock less the host's, in ms",
        f"python bench/clock.py --runs {options.runs} --later {options.later:g}",
        at_ready=measure.summary(found["ready"], 2),
        later=measure.summary(found["later"], 2),
        after_a_pause=measure.summary(found["paused"], 2),
        measured_within_ms=round(max(doubts), 2),
        goal="within 5 ms",
    )


if __name__ == "__main__":
    main()
