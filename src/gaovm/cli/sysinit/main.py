"""Run one command line of ``sysinit-vm``. A failure of its own exits with 1."""

from __future__ import annotations

import sys

from gaovm import errors
from gaovm.cli import main, output
from gaovm.cli.sysinit import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: verb -> (module of this package, function, how many words may follow; None: any)
VERBS: dict[str, tuple[str, str, int | None]] = {
    "init": ("making", "init", None),
    "start": ("running", "start", 0),
    "stop": ("running", "stop", 0),
    "shell": ("running", "shell", 0),
    "exec": ("running", "execute", None),
    "status": ("running", "status", 0),
    "destroy": ("running", "destroy", 0),
    "sync": ("running", "sync", 0),
    "rebuild": ("running", "rebuild", 0),
}
ALIASES = {"sh": "shell", "st": "status", "rm": "destroy"}
_HELP = ("help", "--help", "-h")
HELP = """\
sysinit-vm - Manage project-scoped development VMs

Usage: sysinit-vm <command> [options]

Commands:
  init [template]   Initialize .lima/config.yaml (templates: dev, minimal); offers
                    the packages and ports of what it finds in the project
                    (--detect: without asking, --no-detect: not at all)
  start             Start the project VM
  stop              Stop the project VM
  shell             Connect to VM (auto-attaches to Zellij)
  exec <cmd>        Run command in VM

  status            Show VM status
  destroy           Permanently delete the VM

  sync              Update home-manager config in VM
  rebuild           Rebuild NixOS system config in VM

  help              Show this text

Aliases: sh (shell), st (status), rm (destroy)

Environment:
  VM_NAME           Override VM name (default: <project-name>-dev)

Examples:
  cd ~/projects/myapp
  sysinit-vm init
  sysinit-vm start
  sysinit-vm shell

  sysinit-vm exec "nvim main.py"
  sysinit-vm destroy

Notes:
  - VM uses the image that .lima/config.yaml names (default: debian:12)
  - Zellij auto-attaches on shell connection where the VM has it, else tmux
  - Project directory mounted at same path in VM, and linked as ~/<project-name>
  - SSH keys stay on the host unless .lima/config.yaml mounts ~/.ssh (read-only)
  - All the rest: gaovm help
"""


def entry() -> None:
    """Run ``sys.argv`` and exit at once."""
    main.entry(run)


def run(argv: Sequence[str]) -> int:
    """Run one command line; returns the exit code. Never raises for an error of the tree."""
    try:
        code = _verb(list(argv))
        sys.stdout.flush()
    except errors.GaoError as error:
        say.error(output.error_text(error).removeprefix("gaovm: "))
        return error.exit_code if error.exit_code == main.INTERRUPTED else 1
    except KeyboardInterrupt:
        say.error("interrupted")
        return main.INTERRUPTED
    except BrokenPipeError:
        return main.closed_output()
    except OSError as error:
        say.error(main.of_system(error).message)
        return 1
    return code


def _verb(words: list[str]) -> int:
    first, *rest = words or ["help"]
    name = ALIASES.get(first, first)
    if name in _HELP:
        sys.stdout.write(HELP)
        return 0
    if name not in VERBS:
        raise errors.UsageError(f"Unknown command: {first}. Try 'sysinit-vm help'")
    module, function, most = VERBS[name]
    if rest[:1] in (["--help"], ["-h"]):
        sys.stdout.write(HELP)
        return 0
    if most is not None and len(rest) > most:
        raise errors.UsageError(f"Unexpected word: {rest[most]}. Try 'sysinit-vm help'")
    import importlib

    code: int = getattr(importlib.import_module(f"gaovm.cli.sysinit.{module}"), function)(rest)
    return code
