"""The way in: the text of a config file -> a VM spec and warnings."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from gaovm.project import (
    boot,
    check,
    disks,
    graphics,
    guest,
    network,
    nodes,
    problems,
    shares,
    supervision,
)
from gaovm.project.context import Caller, Context, Host
from gaovm.spec.disks import Image
from gaovm.spec.vm import VmSpec

FILE = ".lima/config.yaml"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A spec, and what of the file has no effect: lines ``FILE:LINE: path: message``."""

    spec: VmSpec
    warnings: tuple[str, ...]
    path: str
    root: nodes.Table

    def place(self, field: str) -> str:
        """``FILE:LINE: field``, for a problem that only the host can tell."""
        return f"{self.path}:{nodes.line_of(self.root, field)}: {field}"


def load(text: str, path: str, caller: Caller, project_dir: str, name: str, host: Host) -> Loaded:
    """The spec of a config file.

    ``path`` is what messages call the file; ``project_dir`` is absolute; ``name`` the VM's name.

    Raises:
        errors.ConfigError: with every problem of the file; ``details['problems']`` is a list of
            ``{line, path, message}``, the text has a line for each.
    """
    try:
        root = nodes.parse(text)
    except nodes.Malformed as exc:
        raise problems.failure(path, [exc.problem]) from exc
    found = problems.Findings(path)
    context = Context(caller, posixpath.normpath(project_dir), name, host, found)
    check.check(root, found)
    boot_part = boot.read(root, context)
    image = disks.read_image(root, boot_part.arch, context)
    user = guest.read_user(root, context)
    spec = VmSpec(
        name=name,
        image=image or Image(location=""),
        guest=guest.read(root, user, context),
        boot=boot_part,
        processors=disks.read_processors(root, context),
        memory=disks.read_memory(root, context),
        disk=disks.read_disk(root, context),
        network=network.read(root, context),
        graphics=graphics.read(root, context),
        shares=shares.read(root, user, context),
        supervision=supervision.read(root, boot_part, context),
        message=guest.read_message(root, context),
    )
    found.finish()
    return Loaded(spec, tuple(found.warnings), path, root)


def candidates(directory: str) -> list[str]:
    """Where the config of a directory may be: in it, then in each one above, nearest first."""
    found = []
    current = posixpath.normpath(directory)
    while True:
        found.append(posixpath.join(current, FILE))
        parent = posixpath.dirname(current)
        if parent == current:
            return found
        current = parent
