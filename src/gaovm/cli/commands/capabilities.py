"""``gaovm capabilities``: what each back end can do, and what works here. Needs no daemon."""

from __future__ import annotations

from gaovm.cli import options, output
from gaovm.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gaovm.hostfacts import capabilities


def run(parsed: options.Parsed) -> int:
    """Print the table."""
    from pathlib import Path

    from gaovm.hostfacts import capabilities, facts

    host = facts.collect(Path(paths.home()))
    table = capabilities.table(host, window=capabilities.has_window())
    if parsed.flag("json"):
        import msgspec

        output.json_out({"backends": msgspec.to_builtins(table)})
    else:
        output.out("\n\n".join(text(backend) for backend in table if backend.present))
        absent = [f"{backend.name} ({backend.about})" for backend in table if not backend.present]
        output.out("\nnot present: " + ", ".join(absent))
    return 0


def text(backend: capabilities.Backend) -> str:
    """One back end: a line for each feature."""
    rows = []
    for feature in backend.features:
        word = "yes" if feature.here else "not here" if feature.offered else "no"
        about = f"{feature.meaning} ({feature.note})" if feature.note else feature.meaning
        rows.append((f"  {feature.name}", word, about))
    return output.table((backend.name, "", backend.about), rows)


CAPABILITIES = options.Command(
    "capabilities",
    run,
    about="Show what each back end can do: yes, not here (this machine lacks something), or no\n"
    "(GaoVM has no such thing for it). With --json also the driver's methods.",
    options=(options.JSON,),
    examples=("gaovm capabilities", "gaovm capabilities --json"),
)
