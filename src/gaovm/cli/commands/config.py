"""``gaovm set``, ``diff`` and ``plan``: a VM's config over its project file."""

from __future__ import annotations

from gaovm import errors
from gaovm.cli import calls, options, output, project_dir, target
from gaovm.cli.commands import up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

_SIZES = ("memory", "disk")
_MAX_SHOWN = 120
_KEYS = (
    "Keys are those of the project file: cpus, memory, disk, env.NAME, and the ones of\n"
    "vmOpts.gaovm in short form: accel, machine, kernel, cmdline, hostAccess, graphics.*,\n"
    "restart.*, watchdog.*, stop.*, autostart (docs/config.md)."
)


def change(parsed: options.Parsed) -> int:
    """Change the override layer of one VM."""
    name, changes = _words(parsed)
    if not changes and not parsed.flag("discard"):
        raise SET.mistake("KEY=VALUE is missing")
    params: dict[str, Any] = {"name": name, "changes": changes}
    if parsed.flag("discard"):
        params["discard"] = True
    with calls.connect() as client:
        result = calls.call(client, "vm.config.set", params)
    _warn(result)
    if parsed.flag("json"):
        output.json_out(result)
    else:
        output.out(changed_text(name, result))
    return 0


def diff(parsed: options.Parsed) -> int:
    """Show what the next start changes, and what the project file asks for beyond that."""
    name = target.vm_name(parsed)
    with calls.connect() as client:
        params: dict[str, Any] = {"name": name}
        project = project_dir.find_project()
        calls.call(client, "vm.status", params)  # an unknown VM is reported first
        if project is not None and not target.is_of(client, name, project):
            project = None
        result = _differences(client, params, project)
    _warn(result)
    if parsed.flag("json"):
        output.json_out(result)
    else:
        output.out(diff_text(name, result))
    return 0


def _differences(client: Any, params: dict[str, Any], project: project_dir.Project | None) -> Any:
    """Ask for the differences; an unreadable file hides only what the file asks for."""
    if project is None:
        return calls.call(client, "vm.config.diff", params)
    try:
        asked = {**params, "project": up.project_params(project, params["name"])}
        return calls.call(client, "vm.config.diff", asked)
    except errors.ConfigError as exc:
        result = calls.call(client, "vm.config.diff", params)
        warning = f"what the project file asks for is not shown: {exc.message}"
        return {**result, "warnings": [*(result.get("warnings") or ()), warning]}


def plan(parsed: options.Parsed) -> int:
    """Say what a set or an up would do."""
    name, changes = _words(parsed)
    params: dict[str, Any] = {"name": name}
    with calls.connect() as client:
        if changes or parsed.flag("discard"):
            params.update(changes=changes, discard=parsed.flag("discard"))
        elif (project := project_dir.find_project()) is not None and target.is_of(
            client, name, project
        ):
            params["project"] = up.project_params(project, name)
        result = calls.call(client, "vm.config.plan", params)
    _warn(result)
    if parsed.flag("json"):
        output.json_out(result)
    else:
        output.out(plan_text(result))
    return 0


def _words(parsed: options.Parsed) -> tuple[str, dict[str, str]]:
    """The VM's name and the changes; the first word is the name when it holds no ``=``.

    Raises:
        errors.UsageError: a word that is neither, or a key that is given twice.
    """
    words = list(parsed.words)
    parsed.words = [words.pop(0)] if words and "=" not in words[0] else []
    changes: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise errors.UsageError(
                f"{output.harmless(word)!r} is no KEY=VALUE", remedy="for example: cpus=4"
            )
        if key in changes:
            raise errors.UsageError(f"{output.harmless(key)} is given twice")
        changes[key] = value
    return target.vm_name(parsed), changes


def changed_text(given: str, result: Mapping[str, Any]) -> str:
    """What ``set`` says; ``given`` is how the user names the VM, for commands."""
    name = result["vm"]["name"]
    lines: list[str] = []
    if result["applied"]:
        word = "in force now" if result["running"] else "changed"
        lines += [f"{name}: {word}", *_table(result["applied"])]
    if result["staged"]:
        lines += [f"{name}: at the next start", *_table(result["staged"])]
        discard = target.command("set --discard", given)
        lines.append(f"Restart it:  gaovm restart {name}    Take it back:  {discard}")
    return output.harmless("\n".join(lines or [f"{name}: nothing changes"]))


def diff_text(given: str, result: Mapping[str, Any]) -> str:
    """What ``diff`` says; ``given`` is how the user names the VM, for commands."""
    name = result["name"]
    lines: list[str] = []
    if result["pending"]:
        lines += [f"{name} ({result['state']}): the next start changes", *_table(result["pending"])]
    if result["file"]:
        lines += [
            f"{name}: the project file asks for more ({target.command('up', given)} takes it over)",
            *_table(result["file"]),
        ]
    if not lines:
        lines.append(f"{name}: nothing is pending")
    if result["overrides"]:
        layer = " ".join(f"{key}={_show(key, value)}" for key, value in result["overrides"].items())
        discard = target.command("set --discard", given)
        lines.append(f"Set over the project file ({discard} drops it):  {layer}")
    return output.harmless("\n".join(lines))


def plan_text(result: Mapping[str, Any]) -> str:
    """What ``plan`` says."""
    name = result["name"]
    if not result["exists"]:
        return output.harmless(f"{name} does not exist; gaovm up makes it")
    lines: list[str] = []
    if result["now"]:
        when = "at once" if result["running"] else "before the next start"
        lines += [f"{name}: would change {when}", *_table(result["now"])]
    if result["next_start"]:
        lines += [f"{name}: would wait for the next start", *_table(result["next_start"])]
    if not lines:
        return output.harmless(f"{name}: nothing would change")
    if result["restart_required"]:
        lines.append(f"A restart is needed, and is not done by itself:  gaovm restart {name}")
    elif result["running"]:
        lines.append("No restart is needed.")
    return output.harmless("\n".join(lines))


def _table(found: Iterable[Mapping[str, Any]]) -> list[str]:
    rows = list(found)
    width = max(len(str(row["field"])) for row in rows)
    lines = []
    for row in rows:
        field, before, after = str(row["field"]), row["from"], row["to"]
        if isinstance(before, list) and isinstance(after, list):
            lines.append(f"  {field}")
            lines += [f"    - {_show(field, entry)}" for entry in before if entry not in after]
            lines += [f"    + {_show(field, entry)}" for entry in after if entry not in before]
        else:
            lines.append(f"  {field:{width}}  {_show(field, before)} -> {_show(field, after)}")
    return lines


def _show(field: str, value: object) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return output.one_line(value) or '""'
    if isinstance(value, float) or (isinstance(value, int) and field == "watchdog.timeout"):
        return f"{value:g}s"  # the only fractions are times
    if field in _SIZES and isinstance(value, int):
        from gaovm.project import sizes

        return sizes.show(value)
    import json

    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


def _warn(result: Mapping[str, Any]) -> None:
    for warning in result.get("warnings") or ():
        output.err(output.harmless(f"warning: {warning}"))


SET = options.Command(
    "set",
    change,
    about="Set values over the VM's project file, which GaoVM never rewrites. They win until you\n"
    "discard them. A running VM applies some at once (disk, env, restart, stop); the others wait\n"
    "for its next start. KEY= removes one value.\n" + _KEYS,
    words="[NAME] KEY=VALUE...",
    count=(0, 200),
    options=(
        options.NAME,
        options.Option(
            "--discard", "first drop all values set before, and changes that wait because of them"
        ),
        options.JSON,
    ),
    examples=(
        "gaovm set cpus=4 memory=8GiB",
        "gaovm set web-dev disk=40GiB restart.policy=always",
        "gaovm set memory=",
        "gaovm set --discard",
    ),
)

DIFF = options.Command(
    "diff",
    diff,
    about="Show what the next start of the VM changes, what the project file asks for beyond\n"
    "that, and what is set over the file.",
    words="[NAME]",
    count=(0, 1),
    options=(options.NAME, options.JSON),
    examples=("gaovm diff", "gaovm diff web-dev --json"),
)

PLAN = options.Command(
    "plan",
    plan,
    about="Say what gaovm set with these changes would do, or, without changes, gaovm up: what\n"
    "changes at once, what waits, whether a restart is needed. This changes nothing.",
    words="[NAME] [KEY=VALUE...]",
    count=(0, 200),
    options=(
        options.NAME,
        options.Option("--discard", "as gaovm set --discard would"),
        options.JSON,
    ),
    examples=("gaovm plan", "gaovm plan cpus=4 disk=40GiB", "gaovm plan --discard"),
)
