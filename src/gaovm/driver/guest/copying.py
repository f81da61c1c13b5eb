"""``copyToHost``: bring the guest's files into the VM's directory, where the daemon takes them.

A driver may write nowhere else. The guest chooses the content alone, never the place.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from gaovm import errors
from gaovm.driver.guest.output import Report
from gaovm.guestmanager import textfiles
from gaovm.guestmanager.transport.connection import Connection
from gaovm.spec.guest import Copy
from gaovm.wire.driver import launch


async def fetch(connection: Connection, request: launch.LaunchRequest, report: Report) -> None:
    """Fetch every file as the guest has it now.

    Raises:
        errors.ProvisionFailed: one is missing or cannot be read.
        errors.GuestUnavailable: the agent is gone.
    """
    for number, copy in enumerate(request.spec.guest.copies):
        report("copy", f"{copy.guest} to {copy.host}")
        await _fetch(connection, copy, Path(launch.copy_path(request.vm_dir, number)))


async def _fetch(connection: Connection, copy: Copy, place: Path) -> None:
    place.parent.mkdir(mode=0o700, exist_ok=True)
    place.unlink(missing_ok=True)
    part = place.with_suffix(".part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(part, flags, 0o600), "wb") as file:
            found = await textfiles.read_into(connection, copy.guest, "root", file.write)
        if found:
            part.replace(place)
    except errors.GuestCallFailed as exc:
        raise _failed(copy, exc.message) from exc
    except TimeoutError as exc:
        raise _failed(copy, "the guest took too long to read it") from exc
    except OSError as exc:
        raise _failed(copy, f"it cannot be kept: {exc.strerror}") from exc
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    if not found and not copy.skip_if_missing:
        raise _failed(copy, "there is no such file in the guest")


def _failed(copy: Copy, why: str) -> errors.ProvisionFailed:
    return errors.ProvisionFailed(
        f"{copy.name}: {copy.guest}: {why}",
        field=copy.name,
        remedy="the VM runs on: look inside; skipIfMissing: true lets a file be missing",
        actions=(errors.Action("open_shell"),),
        details={"script": copy.name, "status": None, "tail": []},
    )
