"""``mounts[].9p``, ``virtiofs`` and ``sshfs``: how a share is served and mounted."""

from __future__ import annotations

from typing import cast, get_args

from gaovm.project import fields, nodes, sizes
from gaovm.project.context import Context
from gaovm.spec.shares import Cache, NineP, SecurityModel

_PROTOCOL = "9p2000.L"
_PROTOCOLS = ("9p2000", "9p2000.u", _PROTOCOL)
_TRUSTING = ("loose", "fscache")
#: net/9p/trans_virtio.c: a message is at most 125 pages.
_MIN_MSIZE, _MAX_MSIZE = 4 << 10, 500 << 10
_DRIVERS = ("builtin", "openssh-sftp-server")
_QUEUE_SIZES = tuple(str(1 << power) for power in range(4, 11))


def nine_p(entry: nodes.Table, context: Context) -> NineP:
    """Read ``9p`` of a mount."""
    table, found = fields.table(entry, "9p"), context.found
    protocol = fields.word(table, "protocolVersion", _PROTOCOLS, found)
    if protocol not in (None, _PROTOCOL):
        what = f"not honoured: {_PROTOCOL} is used, the one that knows all of Linux's files"
        found.warning(table.entries["protocolVersion"], what)
    cache = fields.word(table, "cache", (*get_args(Cache), *_TRUSTING), found)
    if cache in _TRUSTING:
        what = f"not honoured: with {cache} the guest reads old content; mmap is used"
        found.warning(table.entries["cache"], what)
        cache = None
    model = fields.word(table, "securityModel", get_args(SecurityModel), found)
    return NineP(
        security_model=cast("SecurityModel | None", model),
        msize_bytes=_msize(table, context),
        cache=cast("Cache | None", cache),
    )


def queue_size(entry: nodes.Table, context: Context) -> int | None:
    """Read ``virtiofs.queueSize`` of a mount."""
    table = fields.table(entry, "virtiofs")
    size = fields.word(table, "queueSize", _QUEUE_SIZES, context.found)
    return None if size is None else int(size)


def follow_symlinks(entry: nodes.Table, context: Context) -> bool:
    """Read ``sshfs`` of a mount; return whether the server follows links."""
    table = fields.table(entry, "sshfs")
    driver = fields.word(table, "sftpDriver", _DRIVERS, context.found)
    if driver == _DRIVERS[0]:
        what = f"not honoured: {_DRIVERS[1]} serves the mount, in a confinement of its own"
        context.found.warning(table.entries["sftpDriver"], what)
    return fields.boolean(table, "followSymlinks") or False


def _msize(table: nodes.Table, context: Context) -> int | None:
    node = fields.scalar(table, "msize")
    if node is None or node.text == "":
        return None
    try:
        size = sizes.parse_as_lima(node.text)
    except ValueError:
        return None  # ``lima.values`` has reported it
    if size < _MIN_MSIZE:
        what = f"expected a size from 4KiB on, found {nodes.describe(node)}"
        context.found.problem(node, what, remedy="leave it out: 128KiB is then taken")
        return None
    if size > _MAX_MSIZE:
        context.found.warning(node, "more than the guest's kernel takes: 500KiB is used")
    return min(size, _MAX_MSIZE)
