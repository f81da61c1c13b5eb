"""The build hook: the guest agent for every architecture is built and carried in the wheel.

The wheel also carries copies of the files that ``init`` writes: they lie outside the package.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

AGENTS = Path("src/gaovm/images/agent")
#: File or folder of the tree -> its place in the wheel. A checkout reads the tree's own.
COPIES = {
    "lima/templates": "gaovm/project/templates",
    "Taskfile.yml": "gaovm/project/templates/Taskfile.yml",
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
        build_data["artifacts"].append(f"/{AGENTS.as_posix()}/*")
        if version == "standard":
            places = {str(root / source): place for source, place in COPIES.items()}
            build_data["force_include"].update(places)
