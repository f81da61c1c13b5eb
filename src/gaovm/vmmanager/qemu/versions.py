"""The version of the installed QEMU, for configs that need a certain one."""

from __future__ import annotations

import re

from gaovm import errors
from gaovm.aio import commands

LIMIT_S = 20.0
_SAID = re.compile(rb"version (\d{1,5})\.(\d{1,5})\.(\d{1,5})")


async def check(program: str, minimum: str) -> None:
    """Check that a QEMU is not older than ``minimum`` (``8.2.1``); empty: any will do.

    Only a config that asks pays for the run of the program.

    Raises:
        errors.HostError: it is older, or does not tell its version.
    """
    if not minimum:
        return
    done = await commands.run([program, "--version"], timeout_s=LIMIT_S)
    said = _SAID.search(done.stdout)
    if said is None:
        raise errors.HostError(f"{program} --version tells no version")
    found = tuple(int(number) for number in said.groups())
    if found < tuple(int(number) for number in minimum.split(".")):
        shown = ".".join(map(str, found))
        raise errors.HostError(
            f"{program} is {shown}; the config needs {minimum} or newer",
            field="vmOpts.qemu.minimumVersion",
            remedy="install a newer QEMU, or take minimumVersion out",
        )
