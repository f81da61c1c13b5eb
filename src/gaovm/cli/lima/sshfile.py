"""How ssh reaches an instance: what ``ssh-config`` says, and ``ssh.config`` in its directory.

Lima's users run ``ssh -F DIR/ssh.config lima-NAME``.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from gaovm import errors
from gaovm.cli import catalog
from gaovm.cli import main as gaovm_main
from gaovm.cli.lima import homes
from gaovm.client import below
from gaovm.project import names

FILE = "ssh.config"
_COMMAND = "ssh-config"


def is_there() -> bool:
    """Tell whether this GaoVM can reach a VM by ssh."""
    return _COMMAND in catalog.COMMANDS


def lines(name: str) -> list[str]:
    """Return the lines of a VM's Host block.

    Raises:
        errors.UsageError: this GaoVM has no ssh.
        errors.HostError: there is no block; the reason is on standard error.
    """
    if not is_there():
        raise errors.UsageError(
            "this GaoVM has no ssh into a VM", remedy=f"gaovm lima shell {name}"
        )
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = gaovm_main.run([_COMMAND, name])
    if code != 0:
        raise errors.HostError(f"ssh cannot reach instance `{name}`")
    return [line for line in said.getvalue().splitlines() if not line.startswith("#")]


def write(place: homes.Place) -> None:
    """Write an own instance's ``ssh.config``, by the name that Lima's users give ssh."""
    if not is_there():
        return
    own = f"Host lima-{names.hostname(place.name)}"
    text = "\n".join(own if line.startswith("Host ") else line for line in lines(place.name)) + "\n"
    below.write(Path(place.directory) / FILE, text.encode(), (place.directory,))
