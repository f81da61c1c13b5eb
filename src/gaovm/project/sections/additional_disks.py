"""``additionalDisks`` -> ``spec.disks.AdditionalDisk``: named disks that the VM gets."""

from __future__ import annotations

import re

from gaovm.project import fields, nodes
from gaovm.project.context import Context
from gaovm.spec import disks
from gaovm.spec.disks import AdditionalDisk

# the name of a mkfs program, ``mkfs.TYPE``, and of a type of file system of the kernel
_FS_TYPE = re.compile(r"[a-z][a-z0-9]{0,15}\Z")
_MAX_ARGUMENT = 256
_TYPE_REMEDY = "write ext4 or xfs, or take it out"


def read(root: nodes.Table, context: Context) -> tuple[AdditionalDisk, ...]:
    """Return the disks in the file's order; ``values`` has reported names that Lima refuses."""
    node = fields.get(root, "additionalDisks")
    found: dict[str, AdditionalDisk] = {}
    for item in node.items if isinstance(node, nodes.Sequence) else ():
        disk = _disk(item, context)
        if disk is None:
            continue
        if disk.name in found:
            remedy = "name each disk once"
            context.found.problem(item, f"disk {disk.name} is there twice", remedy=remedy)
            continue
        found[disk.name] = disk
    if node is not None and len(found) > disks.MAX_ADDITIONAL:
        what = f"at most {disks.MAX_ADDITIONAL} additional disks are possible, found {len(found)}"
        context.found.problem(node, what, remedy="put what belongs together on one disk")
    return tuple(found.values())


def _disk(item: nodes.Node, context: Context) -> AdditionalDisk | None:
    if isinstance(item, nodes.Scalar):
        return AdditionalDisk(name=item.text) if disks.is_disk_name(item.text) else None
    if not isinstance(item, nodes.Table):
        return None
    name = fields.text(item, "name") or ""
    fs_type = fields.scalar(item, "fsType")
    if fs_type is not None and fs_type.text and not _FS_TYPE.match(fs_type.text):
        what = f"expected the name of a file system, found {nodes.describe(fs_type)}"
        context.found.problem(fs_type, what, remedy=_TYPE_REMEDY)
        return None
    made = fields.boolean(item, "format")
    arguments = _arguments(item, context)
    if not disks.is_disk_name(name):
        return None
    return AdditionalDisk(
        name=name,
        format=made is not False,
        fs_type=fs_type.text if fs_type is not None and fs_type.text else "ext4",
        fs_args=arguments,
    )


def _arguments(item: nodes.Table, context: Context) -> tuple[str, ...]:
    node = fields.get(item, "fsArgs")
    words = (
        [one for one in node.items if isinstance(one, nodes.Scalar)]
        if (isinstance(node, nodes.Sequence))
        else []
    )
    if node is not None and len(words) > disks.MAX_FS_ARGUMENTS:
        what = f"at most {disks.MAX_FS_ARGUMENTS} arguments are possible"
        context.found.problem(node, what, remedy="take some out")
        return ()
    for word in words:
        if len(word.text) > _MAX_ARGUMENT or not word.text.isprintable():
            what = f"expected one line of at most {_MAX_ARGUMENT} characters"
            context.found.problem(word, what, remedy="shorten it")
            return ()
    return tuple(word.text for word in words)
