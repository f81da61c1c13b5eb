"""Run ``gaovm lima`` as Lima's users do, with a real daemon that starts nothing."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from tests.process.cli.conftest import Gaovm


class Limactl(Gaovm):
    """``limactl``: words become those of ``gaovm lima``; instances lie in a ``LIMA_HOME``."""

    def __init__(self, home: Path, project: Path) -> None:
        super().__init__(home, project)
        self.lima_home = home.parent / "instances"
        self.environment.update(LIMA_HOME=str(self.lima_home), GAOVM_CACHE=str(home / "cache"))
        self._image = home.parent / "disk.img"
        self._image.write_bytes(b"no system")

    def argv(self, *words: str) -> list[str]:
        return super().argv("lima", *words)

    def template(self, **fields: Any) -> str:
        """Return a template that GaoVM takes, and that nobody could start."""
        digest = hashlib.sha256(self._image.read_bytes()).hexdigest()
        image = {"location": str(self._image), "digest": f"sha256:{digest}"}
        return json.dumps({"images": [image], **fields})

    def create(self, name: str, *words: str, **fields: Any) -> None:
        """Make an instance from standard input."""
        self.good("create", "--name", name, *words, "-", stdin=self.template(**fields).encode())

    def good(self, *words: str, **options: Any) -> str:
        """Run a command that succeeds; return its standard output without the last line break."""
        done = self(*words, **options)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().rstrip("\n")

    def bad(self, *words: str, **options: Any) -> str:
        """Run a command that fails as Lima's do; return its standard error."""
        done = self(*words, **options)
        assert done.returncode == 1, done.stdout.decode()
        return done.stderr.decode()

    def stop_daemon(self) -> None:
        """End the daemon that the commands started."""
        subprocess.run(
            Gaovm.argv(self, "daemon", "stop"),
            env=self.environment,
            cwd="/",
            capture_output=True,
            check=False,
            timeout=30,
        )
