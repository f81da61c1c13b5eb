"""``images``, ``disk`` -> ``spec.disks``; ``memory``, which is a size as well."""

from __future__ import annotations

import dataclasses
import posixpath
import re

import msgspec

from gaovm.project import fields, nodes, sizes
from gaovm.project.context import Context
from gaovm.spec.disks import Disk, Image, ImageFile
from gaovm.spec.memory import MIB, Memory

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*:[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_URL = re.compile(r"(?:https?://[^\s/]+/|file:///)[^\s]*\Z")
_DIGEST = re.compile(r"(sha256|sha512):([0-9a-f]+)\Z")
_DIGITS = {"sha256": 64, "sha512": 128}
_ARCHES = ("x86_64", "aarch64", "armv7l", "ppc64le", "riscv64", "s390x")


def read_memory(root: nodes.Table, context: Context) -> Memory:
    """Read ``memory``; 2GiB when not set."""
    size = _size(root, "memory", (128 * MIB, 1 << 44), context)
    return Memory() if size is None else Memory(size_bytes=size)


def read_disk(root: nodes.Table, context: Context) -> Disk:
    """Read ``disk``; 20GiB when not set."""
    size = _size(root, "disk", (MIB, 1 << 46), context)
    return Disk() if size is None else Disk(size_bytes=size)


def _size(root: nodes.Table, key: str, limits: tuple[int, int], context: Context) -> int | None:
    node = fields.scalar(root, key)
    if node is None or node.text == "":
        return None
    try:
        size = sizes.parse(node.text)
    except ValueError as exc:
        context.found.problem(node, str(exc), remedy="add a unit, such as GiB")
        return None
    low, high = limits
    if not low <= size <= high:
        shown = f"{sizes.show(low)} to {sizes.show(high)}"
        what = f"expected {shown}, found {node.text}"
        context.found.problem(node, what, remedy=f"write a size from {shown}")
        return None
    return size


def read_image(root: nodes.Table, arch: str, context: Context) -> Image | None:
    """Return the images for the architecture, the first with the others, after a check of all."""
    entries = fields.tables(root, "images")
    node = fields.get(root, "images")
    if node is None or (isinstance(node, nodes.Sequence) and not node.items):
        return None
    chosen: list[Image] = []
    listed = []
    for entry in entries:
        image = _image(entry, context)
        wanted = fields.word(entry, "arch", _ARCHES, context.found) or arch
        listed.append(wanted)
        if image is not None and wanted == arch:
            chosen.append(image)
    if entries and arch not in listed:
        others = ", ".join(sorted(set(listed)))
        what = f"no image for arch {arch}; the file has: {others}"
        context.found.problem(node, what, remedy=f"add an image for {arch}, or set arch")
    if len(chosen) < 2:
        return chosen[0] if chosen else None
    return msgspec.structs.replace(chosen[0], others=tuple(chosen[1:]))


def _image(entry: nodes.Table, context: Context) -> Image | None:
    file = _file(entry, context, named=True)
    kernel_table = fields.table(entry, "kernel")
    kernel = _file(kernel_table, context) if fields.get(entry, "kernel") else None
    initrd = None
    if fields.get(entry, "initrd"):
        initrd = _file(fields.table(entry, "initrd"), context)
        if kernel is None:
            what, where = "an initrd needs a kernel", f"{entry.path}.initrd"
            context.found.problem(entry, what, path=where, remedy="add kernel, or take initrd out")
    arguments = fields.arguments(kernel_table, "cmdline", context.found)
    if file is None:
        return None
    return Image(
        location=file.location,
        digest=file.digest,
        kernel=kernel,
        initrd=initrd,
        kernel_arguments=arguments,
    )


def _file(entry: nodes.Table, context: Context, *, named: bool = False) -> ImageFile | None:
    digest = _digest(entry, context)
    node = fields.scalar(entry, "location")
    if node is None or node.text == "":
        if not isinstance(fields.get(entry, "location"), nodes.Sequence | nodes.Table):
            where = fields.below(entry, "location")
            remedy = "write where the file is: a path or a URL"
            context.found.problem(entry, "must be set", path=where, remedy=remedy)
        return None
    location = node.text
    if location.startswith(("./", "../")):
        # a file of the project: relative to its directory, wherever the command is called
        clean = posixpath.normpath(f"{context.project_dir}/{location}")
        node = dataclasses.replace(node, text=clean)
        location = clean
    if location.startswith(("/", "~")):
        path = context.path(node, context.host_variables(), context.caller.home)
        return None if path is None else ImageFile(location=path, digest=digest)
    if _URL.match(location) or (named and _NAME.match(location)):
        return ImageFile(location=location, digest=digest)
    name = "a name such as debian:12, " if named else ""
    context.found.problem(
        node,
        f"expected {name}a path, or an http, https or file URL; found {nodes.describe(node)}",
        remedy="write debian:12, a path that begins with /, ~/ or ./, or a URL",
    )
    return None


def _digest(entry: nodes.Table, context: Context) -> str | None:
    node = fields.scalar(entry, "digest")
    if node is None or node.text == "":
        return None
    algorithm = node.text.partition(":")[0]
    match = _DIGEST.match(node.text)
    if match is not None and len(match.group(2)) == _DIGITS[algorithm]:
        return node.text
    why = (
        f"expected {_DIGITS[algorithm]} hex digits after `{algorithm}:`"
        if algorithm in _DIGITS
        else "unsupported digest algorithm; expected sha256:<64 hex digits>"
    )
    what = f"invalid digest {nodes.describe(node)}: {why}"
    context.found.problem(node, what, remedy="write sha256: and 64 hex digits")
    return None
