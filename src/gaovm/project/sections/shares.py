"""``mounts``, ``mountType`` -> ``spec.shares``, which include the project's own directory."""

from __future__ import annotations

from typing import cast

import msgspec

from gaovm.project import fields, nodes
from gaovm.project.context import Context
from gaovm.project.sections import shareoptions
from gaovm.spec.guest import User
from gaovm.spec.shares import Share, ShareType

# each share needs a device of its own, and QEMU's first PCI bus has 32 slots
MAX_SHARES = 20
_SYSTEM = {"/", "/bin", "/dev", "/etc", "/home", "/lib", "/opt", "/proc", "/run", "/sbin", "/sys"}
_SYSTEM |= {"/tmp", "/usr", "/var", "/boot"}
_WORKING = "use 9p, virtiofs or reverse-sshfs, or leave it out: GaoVM then chooses"


def read(root: nodes.Table, user: User, context: Context) -> tuple[Share, ...]:
    """Return all shares, outer mount points before inner ones.

    Unless a mount covers the project directory, this function adds it, writable. An instance's
    directory (``gaovm lima``) is no project's, and stays on the host.
    """
    kind = _type(root, context)
    inotify = fields.boolean(root, "mountInotify") or False
    shares: list[Share] = []
    points: set[str] = set()
    for entry in fields.tables(root, "mounts"):
        share = _share(entry, kind, user, context)
        if share is None:
            continue
        if share.mount_point in points:
            message = f"a second mount at {share.mount_point}"
            where, remedy = fields.below(entry, "mountPoint"), "give it another mountPoint"
            context.found.problem(entry, message, path=where, remedy=remedy)
            continue
        points.add(share.mount_point)
        shares.append(share)
    covered = any(covers(share.location, context.project_dir) for share in shares)
    if context.own_mount and not covered:
        project = context.project_dir
        _system_path(root, "mounts", project, context)
        if any(ord(char) < 32 for char in project):
            message = "the path of the project directory holds a control character"
            context.found.problem(root, message, path="mounts", remedy="rename the directory")
        shares.append(Share(location=project, mount_point=project, writable=True, type=kind))
    if len(shares) > MAX_SHARES:
        what = f"at most {MAX_SHARES} mounts are possible"
        remedy = "mount a directory above several of them"
        context.found.problem(root, what, path="mounts", remedy=remedy)
    if inotify and kind == "reverse-sshfs":
        what = "no watcher is told of changes in a mount by SSHFS; it has no effect"
        context.found.warning(root, what, path="mountInotify")
    elif inotify:
        shares = [msgspec.structs.replace(share, inotify=True) for share in shares]
    return tuple(sorted(shares, key=lambda share: share.mount_point.count("/")))


def covers(location: str, directory: str) -> bool:
    """Return whether a directory is ``location`` or below it."""
    return directory == location or directory.startswith(location.rstrip("/") + "/")


def _type(root: nodes.Table, context: Context) -> ShareType:
    node = fields.scalar(root, "mountType")
    if node is None or node.text in ("", "default"):
        return _left_over(root)
    if node.text not in ("9p", "virtiofs", "reverse-sshfs"):
        what = f"{node.text} is not supported; {_WORKING}"
        context.found.problem(node, what, remedy="take mountType out")
        return "auto"
    return cast("ShareType", node.text)


def _left_over(root: nodes.Table) -> ShareType:
    """Return the type that the image can mount, where the file says what it cannot."""
    node = fields.get(root, "mountTypesUnsupported")
    items = node.items if isinstance(node, nodes.Sequence) else ()
    refused = {item.text for item in items if isinstance(item, nodes.Scalar)}
    if "9p" in refused and "virtiofs" not in refused:
        return "virtiofs"
    return "9p" if "virtiofs" in refused and "9p" not in refused else "auto"


def _share(entry: nodes.Table, kind: ShareType, user: User, context: Context) -> Share | None:
    node = fields.scalar(entry, "location")
    if node is None or node.text == "":
        if fields.get(entry, "location") is None or node is not None:
            where, remedy = fields.below(entry, "location"), "write which directory to mount"
            context.found.problem(entry, "must be set", path=where, remedy=remedy)
        return None
    location = context.host_path(node)
    if location == "/":
        message = "/ is the whole host with its secrets and devices; mount only what you need"
        context.found.problem(node, message, remedy="write the directory that the VM needs")
        return None
    point_node = fields.scalar(entry, "mountPoint")
    point = location
    if point_node is not None and point_node.text:
        point = context.path(point_node, context.guest_variables(user), user.home)
    if location is None or point is None:
        return None
    _system_path(entry, fields.below(entry, "mountPoint"), point, context)
    writable = fields.boolean(entry, "writable") or False
    return Share(
        location=location,
        mount_point=point,
        writable=writable,
        type=kind,
        nine_p=shareoptions.nine_p(entry, context),
        queue_size=shareoptions.queue_size(entry, context),
        follow_symlinks=shareoptions.follow_symlinks(entry, context),
        field=fields.below(entry, "location"),
    )


def _system_path(node: nodes.Node, path: str, point: str, context: Context) -> None:
    if point in _SYSTEM:
        message = f"{point} is a system directory of the guest; give another mountPoint"
        context.found.problem(node, message, path=path, remedy="add mountPoint, such as /mnt/data")
