"""``gaovm completion``: print the script with which a shell completes command lines."""

from __future__ import annotations

import os

from gaovm import errors
from gaovm.cli import options

_SHELLS = ("bash", "zsh", "fish")
#: ``lima-…``: what completes the alias limactl.
_FILES = {
    "bash": "gaovm.bash",
    "zsh": "_gaovm",
    "fish": "gaovm.fish",
    "lima-bash": "limactl.bash",
    "lima-zsh": "limactl.zsh",
    "lima-fish": "limactl.fish",
}


def run(parsed: options.Parsed) -> int:
    """Print the script of one shell."""
    shell = parsed.word() or ""
    if shell not in _SHELLS:
        raise COMPLETION.mistake(f"{shell}: must be one of {', '.join(_SHELLS)}")
    print(script(shell), end="")
    return 0


def script(shell: str) -> str:
    """Read the script of a shell from the installation.

    Raises:
        errors.HostError: the installation lacks it.
    """
    here = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120  (pathlib costs 5 ms)
    path = os.path.join(here, "completions", _FILES[shell])  # noqa: PTH118
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as exc:
        raise errors.HostError(f"{path}: {exc.strerror}", remedy="install GaoVM again") from exc


COMPLETION = options.Command(
    "completion",
    run,
    about="Print the script with which a shell completes commands, options, VMs and images. The\n"
    "script's first lines say where to put it.",
    words="bash|zsh|fish",
    count=(1, 1),
    examples=(
        "source <(gaovm completion bash)",
        "gaovm completion fish > ~/.config/fish/completions/gaovm.fish",
    ),
)
