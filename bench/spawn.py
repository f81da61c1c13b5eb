"""Fork, exec and wait of a program by the agent's own code, in the guest and without its channel.

The program is ``agent/cmd/spawn-bench``. An installation does not contain it: the benchmark builds
it and copies it into the guest.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from gaovm.images import agentbuild

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.seat import Seat

SOURCE = Path(__file__).resolve().parents[1] / "agent"
IN_GUEST = "/var/tmp/spawn-bench"


def install(place: Seat, project: Path) -> None:
    """Build the program and copy it into the project's running VM."""
    go, _ = agentbuild.find_go()
    built = place.base / "spawn-bench"
    subprocess.run(
        [go, "build", "-trimpath", "-ldflags=-s -w", "-o", built, "./cmd/spawn-bench"],
        cwd=SOURCE,
        env={**os.environ, "CGO_ENABLED": "0"},
        check=True,
    )
    place.run("cp", str(built), f"vm:{IN_GUEST}", cwd=project)


def times(place: Seat, project: Path, count: int, *argv: str) -> Sequence[float]:
    """Return the seconds of ``count`` runs of /bin/true or ``argv``; the first do not count."""
    out = place.run("exec", "--", IN_GUEST, str(count), *argv, cwd=project)
    return [ns / 1e9 for ns in json.loads(out)]
