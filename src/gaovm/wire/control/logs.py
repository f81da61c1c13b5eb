"""``log.level``: how much the daemon, or a VM's driver and agent, logs."""

from __future__ import annotations

import msgspec

from gaovm.wire.control.bounds import Level, Text


class SetLevel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without ``name``: the daemon's own level; without ``level``: only ask."""

    name: Text | None = None
    of_project: Text | None = None
    level: Level | None = None


class LevelResult(msgspec.Struct, frozen=True, kw_only=True):
    """The level in force; of a VM that does not run, the one from its next start on."""

    name: str | None
    level: str
    running: bool
