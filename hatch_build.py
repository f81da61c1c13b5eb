"""The build hook: our Go programs are built for every architecture and carried in the wheel.

The wheel also carries copies of the files that ``init`` writes: they lie outside the package.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

AGENTS = Path("src/gaovm/images/agent")
YQ = Path("src/gaovm/cli/lima/bin")
#: File or folder of the tree -> its place in the wheel. A checkout reads the tree's own.
COPIES = {
    "lima/templates": "gaovm/project/templates",
    "Taskfile.yml": "gaovm/project/templates/Taskfile.yml",
    "yq/licenses.txt": "gaovm/cli/lima/bin/licenses.txt",
}


class AgentHook(BuildHookInterface):  # type: ignore[type-arg]
    """Builds ``agent/`` before a wheel (or an editable install) is made of the tree."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, and name the results as artefacts: git ignores them, the wheel must not."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        script = root / "src" / "gaovm" / "images" / "agentbuild.py"
        spec = importlib.util.spec_from_file_location("agentbuild", script)
        if spec is None or spec.loader is None:
            raise RuntimeError(f"cannot load {script}")
        agentbuild = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(agentbuild)
        agentbuild.ensure(root / "agent", root / AGENTS)
        self._build_yq(agentbuild, root, whole=version == "standard")
        build_data["artifacts"] += [f"/{AGENTS.as_posix()}/*", f"/{YQ.as_posix()}/gaovm-yq-*"]
        if version == "standard":
            places = {str(root / source): place for source, place in COPIES.items()}
            build_data["force_include"].update(places)

    def _build_yq(self, agentbuild: Any, root: Path, *, whole: bool) -> None:
        """Build gaovm-yq; its modules come from Go's module proxy, checked by go.sum.

        A checkout needs it for its own architecture only, and works without it where there is no
        network: `gaovm lima` then refuses expressions.
        """
        arches = agentbuild.ARCHES if whole else (agentbuild.own_arch(),)
        try:
            agentbuild.ensure(root / "yq", root / YQ, program=agentbuild.YQ, arches=arches)
        except agentbuild.AgentBuildError as exc:
            if whole:
                raise
            self.app.display_warning(f"gaovm-yq was not built: {exc}")
