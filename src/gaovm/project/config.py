"""The entry point: the text of a config file -> a VM spec and warnings."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace

import msgspec

from gaovm import errors
from gaovm.project import check, fields, names, nodes, problems
from gaovm.project.context import Caller, Context, Host
from gaovm.project.lima import embedding, locators, params, plain, values, whole
from gaovm.project.sections import (
    additional_disks,
    boot,
    disks,
    graphics,
    guest,
    message,
    network,
    processors,
    shares,
    ssh,
    supervision,
)
from gaovm.spec.disks import Image
from gaovm.spec.vm import VmSpec

FILE = ".lima/config.yaml"
#: The file in an instance's directory (``gaovm lima``), which is no project: nobody works in it.
INSTANCE_FILE = "lima.yaml"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A spec, and warnings about fields without effect: lines ``FILE:LINE: path: message``.

    ``root`` is the whole config: with what its bases and the user's defaults brought in.
    """

    spec: VmSpec
    warnings: tuple[str, ...]
    path: str
    root: nodes.Table

    def place(self, field: str) -> str:
        """Return ``FILE:LINE: field``, for a problem that only the host can detect."""
        file, line = nodes.place_of(self.root, field)
        return f"{file or self.path}:{line}: {field}"


def load(  # noqa: PLR0913  (what a file is read against)
    text: str,
    path: str,
    caller: Caller,
    project_dir: str,
    name: str,
    host: Host,
    *,
    given: bool = True,
    resolver: embedding.Resolver | None = None,
    trees: dict[str, nodes.Table] | None = None,
    own_mount: bool = True,
) -> Loaded:
    """Read the spec from the text of a config file.

    ``path`` is the file's name in messages. ``project_dir`` is absolute. ``name`` is the VM's name;
    if nobody has ``given`` it, ``vmOpts.gaovm.name`` may replace it. ``resolver`` reads the bases
    and scripts that the file names; without one it may name none. ``trees`` keeps what was parsed,
    for a load that is tried again. ``own_mount``: the VM has the project's directory; not that of
    an instance.

    Raises:
        errors.ConfigError: with every problem of the file; ``details['problems']`` is a list of
            ``{file, line, path, message}``, and the message has a line for each.
        embedding.Incomplete: the resolver lacks files as yet.
    """
    found = problems.Findings(path)
    files = resolver or embedding.Nothing()
    whole_file = tree(text, path, caller.home, project_dir, files, found, trees)
    plain.check_sudo(whole_file, found)
    root = plain.strip(whole_file, found)
    if not given and (own := _own_name(root, found)) is not None:
        host = replace(host, vm_dir=posixpath.join(posixpath.dirname(host.vm_dir), own))
        name = own
    directory = posixpath.normpath(project_dir)
    context = Context(
        caller,
        directory,
        name,
        host,
        found,
        params.read(root),
        own_mount=own_mount and path != posixpath.join(directory, INSTANCE_FILE),
    )
    spec = _spec(root, context, files)
    found.finish()
    return Loaded(spec, tuple(found.warnings), path, whole_file)


def _spec(root: nodes.Table, context: Context, files: embedding.Resolver) -> VmSpec:
    """Read each section of the file."""
    boot_part = boot.read(root, context)
    image = disks.read_image(root, boot_part.arch, context)
    user = guest.read_user(root, context)
    networking = network.read(root, context, user)
    spec = VmSpec(
        name=context.name,
        image=image or Image(location=""),
        guest=guest.read(root, user, context, files, networking),
        boot=boot_part,
        processors=processors.read(root, boot_part.arch, context),
        memory=disks.read_memory(root, context),
        disk=disks.read_disk(root, context),
        network=networking,
        additional_disks=additional_disks.read(root, context),
        graphics=graphics.read(root, context),
        shares=() if plain.is_plain(root) else shares.read(root, user, context),
        ssh=ssh.read(root, context),
        supervision=supervision.read(root, boot_part, context),
    )
    return msgspec.structs.replace(spec, message=message.read(root, context, spec))


def parse(text: str, path: str) -> nodes.Table:
    """Return the tree of one file's text; checks nothing but its form.

    Raises:
        errors.ConfigError: the text is no YAML mapping; the message has file and line.
    """
    try:
        return nodes.parse(text)
    except nodes.Malformed as exc:
        raise problems.failure(path, [problems.Problem(path, *exc.problem)]) from exc


def tree(  # noqa: PLR0913  (what a file is read against)
    text: str,
    path: str,
    home: str,
    directory: str,
    resolver: embedding.Resolver,
    found: problems.Findings,
    trees: dict[str, nodes.Table] | None = None,
) -> nodes.Table:
    """Return the whole config of a text, after all checks that Lima makes too.

    ``directory``: what relative locators are relative to where ``path`` is not absolute.

    Raises:
        errors.ConfigError: the text itself is no config; all else is noted in ``found``.
    """
    known = None if trees is None else trees.get("")
    root = parse(text, path) if known is None else known
    if trees is not None:
        trees[""] = root
    whole_path = path.startswith("/") or locators.scheme(path)
    locator = path if whole_path else posixpath.join(directory, path)
    root = whole.read(root, locator, home, resolver, found, trees)
    check.check(root, found)
    values.check(root, found)
    return root


def _own_name(root: nodes.Table, found: problems.Findings) -> str | None:
    """``vmOpts.gaovm.name``."""
    node = fields.scalar(fields.table(fields.table(root, "vmOpts"), "gaovm"), "name")
    if node is None or not node.text:
        return None
    try:
        return names.check(node.text)
    except errors.UsageError as exc:
        found.problem(node, exc.message, remedy=exc.remedy or "")
        return None
