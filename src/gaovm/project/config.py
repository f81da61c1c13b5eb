"""The entry point: the text of a config file -> a VM spec and warnings."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace

from gaovm import errors
from gaovm.project import check, fields, names, nodes, problems
from gaovm.project.context import Caller, Context, Host
from gaovm.project.sections import boot, disks, graphics, guest, network, shares, supervision
from gaovm.spec.disks import Image
from gaovm.spec.vm import VmSpec

FILE = ".lima/config.yaml"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A spec, and warnings about fields without effect: lines ``FILE:LINE: path: message``."""

    spec: VmSpec
    warnings: tuple[str, ...]
    path: str
    root: nodes.Table

    def place(self, field: str) -> str:
        """Return ``FILE:LINE: field``, for a problem that only the host can detect."""
        return f"{self.path}:{nodes.line_of(self.root, field)}: {field}"


def load(  # noqa: PLR0913  (what a file is read against)
    text: str,
    path: str,
    caller: Caller,
    project_dir: str,
    name: str,
    host: Host,
    *,
    given: bool = True,
) -> Loaded:
    """Read the spec from the text of a config file.

    ``path`` is the file's name in messages. ``project_dir`` is absolute. ``name`` is the VM's name;
    if nobody has ``given`` it, ``vmOpts.gaovm.name`` may replace it.

    Raises:
        errors.ConfigError: with every problem of the file; ``details['problems']`` is a list of
            ``{line, path, message}``, and the message has a line for each.
    """
    try:
        root = nodes.parse(text)
    except nodes.Malformed as exc:
        raise problems.failure(path, [exc.problem]) from exc
    found = problems.Findings(path)
    if not given and (own := _own_name(root, found)) is not None:
        host = replace(host, vm_dir=posixpath.join(posixpath.dirname(host.vm_dir), own))
        name = own
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


def _own_name(root: nodes.Table, found: problems.Findings) -> str | None:
    """``vmOpts.gaovm.name``."""
    node = fields.scalar(fields.table(fields.table(root, "vmOpts"), "gaovm"), "name")
    if node is None or not node.text:
        return None
    try:
        return names.check(node.text)
    except errors.UsageError as exc:
        found.problem(node, exc.message)
        return None
