"""The examples that need a real VM: a project's config file and a shell script around it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.e2e.world import GAOVM, ROOT, World

EXAMPLES = ROOT / "examples"


def test_a_command_in_a_clean_room(world: World, tmp_path: Path) -> None:
    web = tmp_path / "web"
    shutil.copytree(EXAMPLES / "web", web)
    script = "mkdir -p out && cp $SITE/index.html out/ && exit 7"
    done = subprocess.run(
        [EXAMPLES / "clean_room.sh", web, "sh", "-c", script],
        env={
            **world.environment(),
            "PATH": f"{Path(GAOVM[0]).parent}:{world.environment()['PATH']}",
            "TMPDIR": str(tmp_path),
        },
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 7, done.stderr.decode(errors="replace")
    assert (web / "out" / "index.html").read_text() == "<h1>It works</h1>\n"
    assert not list(tmp_path.glob("clean-room.*"))
    names = [vm["name"] for vm in world.json("ls")["vms"]]
    assert not [name for name in names if name.startswith("clean-room")]
