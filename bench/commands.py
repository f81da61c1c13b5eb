"""Whole processes: `ls` against a bare interpreter, `exec` against its time in the guest.

The guest time of `true` is fork+exec+wait by the agent's own code (`bench/spawn.py`).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure, spawn
from bench.seat import BOOTED, PYTHON, Seat, seat


def listing(place: Seat, runs: int) -> None:
    values = measure.interleaved(
        runs,
        ls=lambda: measure.timed(lambda: place.run("ls")),
        python=lambda: measure.timed(lambda: subprocess.run([PYTHON, "-c", "pass"], check=True)),
    )
    measure.report(
        "gaovm ls, whole process / python -c pass",
        "python bench/commands.py",
        ls_s=measure.summary(values["ls"]),
        python_s=measure.summary(values["python"]),
        ratio=measure.ratio(values["ls"], values["python"]),
        goal="<= 6",
    )


def execution(place: Seat, project: Path, runs: int) -> None:
    values = measure.interleaved(
        runs,
        exec=lambda: measure.timed(lambda: place.run("exec", "--", "true", cwd=project)),
        guest=lambda: statistics.median(spawn.times(place, project, 5)),
    )
    beyond = statistics.median(values["exec"]) - statistics.median(values["guest"])
    measure.report(
        "gaovm exec -- true, whole process, beyond its time in the guest",
        "python bench/commands.py",
        exec_s=measure.summary(values["exec"]),
        guest_s=measure.summary(values["guest"]),
        beyond_ms=round(beyond * 1000, 1),
        goal="<= 60 ms",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    with seat() as place:
        project = place.project("commands")
        place.run("up", cwd=project)
        place.run("exec", "--", "sh", "-c", BOOTED, cwd=project)
        spawn.install(place, project)
        listing(place, runs)
        execution(place, project, runs)


if __name__ == "__main__":
    main()
