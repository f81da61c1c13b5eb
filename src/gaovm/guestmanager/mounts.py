"""Shares, as the agent mounts them: the request's entries and the check of its results."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gaovm import errors


class Mount(msgspec.Struct, omit_defaults=True):
    """One share to mount. ``type`` is ``9p`` or ``virtiofs``."""

    tag: str
    type: str
    path: str
    writable: bool = False
    options: str = ""


class Mounted(msgspec.Struct):
    """What became of one."""

    path: str
    ok: bool
    error: str = ""


def check(wanted: Iterable[Mount], results: list[Mounted]) -> None:
    """Nothing when every mount is there.

    Raises:
        errors.GuestCallFailed: one is not; the message names it and says why.
    """
    by_path = {result.path: result for result in results}
    for mount in wanted:
        result = by_path.get(mount.path)
        if result is None or not result.ok:
            why = (result.error[:500] if result else "") or "no result from the agent"
            raise errors.GuestCallFailed(
                f"cannot mount {mount.path} in the guest ({mount.type}): {why}",
                remedy="see the guest's console; mountType selects 9p or virtiofs",
                actions=(errors.Action("show_console"),),
                details={"mount": mount.path, "type": mount.type},
            )
