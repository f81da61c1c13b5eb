"""yq and Go templates, by the program ``gaovm-yq``, which is built from yq's own Go module.

What scripts and files give it reaches no file, environment or program, and is bounded in time,
memory and output (``yq/bounds.go``). Only ``gaovm lima yq`` runs yq's whole command line.
"""

from __future__ import annotations

import os
import subprocess
from typing import Any

from gaovm import errors
from gaovm.cli import output

#: Longer than the program's own bound on processor time: a busy machine is no mistake.
_LIMIT_S = 60.0
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def program() -> str:
    """Return the path of ``gaovm-yq``.

    Raises:
        errors.ProgramMissing: this installation has none for this machine.
    """
    from pathlib import Path

    machine = os.uname().machine
    arch = _MACHINES.get(machine, machine)
    path = Path(__file__).parent / "bin" / f"gaovm-yq-linux-{arch}"
    if not path.is_file():
        raise errors.ProgramMissing(
            f"yq expressions and Go templates need gaovm-yq, which is not here: {path}",
            remedy="install GaoVM from its wheel; in a checkout ./scripts/setup builds it with Go",
        )
    return str(path)


def evaluate(
    expression: str, text: str, *, form: str = "yaml", into: str = "yaml", color: bool = False
) -> str:
    """Return what an expression makes of each document of a text.

    Raises:
        errors.UsageError: the expression is none, or does what it may not.
    """
    indent = "0" if into == "json" and not color else "4" if into == "json" else "2"
    flags = ["-in", form, "-out", into, "-indent", indent, *(["-color"] if color else [])]
    return _run(["eval", *flags, "--", expression], text)


def fields() -> str:
    """Return the names that a Go template may use, one a line."""
    return _run(["fields"], "")


def shown(rows: list[dict[str, Any]], form: str, yq: list[str], *, color: bool) -> str:
    """Return instances in a format of ``list``; ``yq`` is applied to each."""
    text = "".join(f"{output.json_text(row)}\n" for row in rows)
    if form not in ("json", "yaml"):
        return _run(["template", form], text)
    expression = " | ".join(yq or ["."])
    if form == "json":
        expression += ' | del(.. | select(tag == "!!map" and length == 0))'
        return evaluate(expression, text, form="json", into="json", color=color)
    return evaluate(f'{expression} | ... style=""', text, form="json", into="yaml", color=color)


def filtered(rows: list[dict[str, Any]], filters: list[str]) -> set[str]:
    """Return the names of the instances for which every expression is true."""
    text = "".join(f"{output.json_text(row)}\n" for row in rows)
    chosen = " | ".join(f"select({each})" for each in filters)
    names = evaluate(f"{chosen} | .name", text, form="json", into="json")
    return set(names.split())


def _run(words: list[str], text: str) -> str:
    try:
        done = subprocess.run(
            [program(), *words],
            input=text.encode(),
            capture_output=True,
            timeout=_LIMIT_S,
            check=False,
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        )
    except subprocess.TimeoutExpired as exc:
        raise errors.UsageError(f"the expression takes longer than {_LIMIT_S:.0f} s") from exc
    except (OSError, ValueError) as exc:
        raise errors.UsageError(f"the expression cannot be evaluated: {exc}") from exc
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().removeprefix("Error: ")
        if done.returncode < 0 or "goroutine" in said:
            said = "the expression takes too much time or memory"
        raise errors.UsageError(said[:2000] or "the expression failed")
    return done.stdout.decode("utf-8", "replace")
