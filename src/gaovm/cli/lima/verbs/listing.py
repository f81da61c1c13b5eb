"""``gaovm lima list``: a table, names, JSON, YAML, a Go template, or what yq makes of it."""

from __future__ import annotations

import os

from gaovm import errors
from gaovm.cli import calls, options, output
from gaovm.cli.commands import listing
from gaovm.cli.lima import homes, instances, say, verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    #: A VM's status, or the name of an instance directory without a VM.
    Found = Mapping[str, Any] | str

HEAD = ("NAME", "STATUS", "SSH", "VMTYPE", "ARCH", "CPUS", "MEMORY", "DISK", "DIR")
#: What a terminal that is too narrow loses, in this order.
_LOST = ("ARCH", "VMTYPE", "SSH", "DIR")
_GAP = 4
_FORMATS = ("json", "yaml", "table")


def run(parsed: options.Parsed, tell: say.Log) -> int:
    """List the instances."""
    form = _format(parsed)
    if parsed.flag("list-fields"):
        from gaovm.cli.lima import querying

        output.out(querying.fields().rstrip("\n"))
        return 0
    with calls.connect() as client:
        vms = homes.instances(client.call("vm.list", {})["vms"])
    found: dict[str, Found] = {str(vm["name"]): vm for vm in vms}
    found.update({name: name for name in homes.orphans(list(found))})
    if not found and not parsed.words:
        tell.warning("No instance found. Run `limactl create` to create an instance.")
        return 0
    chosen, unmatched = _chosen(found, parsed.words, tell)
    _print(chosen, parsed, form, tell)
    if unmatched:
        tell.fatal("unmatched instances")
        return 1
    return 0


def _format(parsed: options.Parsed) -> str:
    """Return the format wanted.

    Raises:
        errors.UsageError: two flags exclude each other, in Lima's words.
    """
    given, yq = parsed.text("format"), parsed.many("yq")
    form = "json" if parsed.flag("json") else given or "table"
    refusals = (
        (parsed.flag("json") and given, "option --json conflicts with option --format"),
        (
            parsed.flag("list-fields") and given,
            "option --list-fields conflicts with option --format",
        ),
        (
            yq and given and form not in ("json", "yaml"),
            "option --yq only works with --format json or yaml",
        ),
        (
            parsed.flag("list-fields") and yq,
            "option --list-fields conflicts with option --yq",
        ),
        (
            parsed.flag("list-fields") and parsed.many("filter"),
            "option --list-fields conflicts with option --filter",
        ),
        (
            parsed.flag("quiet") and form != "table",
            "option --quiet can only be used with '--format table'",
        ),
        (
            form not in _FORMATS and "{{" not in form,
            f"unknown format {output.harmless(form)!r}: json, yaml, table, or a Go template",
        ),
    )
    for refused, why in refusals:
        if refused:
            raise errors.UsageError(why)
    return "json" if yq and given is None else form


def _chosen(
    found: Mapping[str, Found], words: Sequence[str], tell: say.Log
) -> tuple[list[Found], bool]:
    """Return the instances that the words name, in their order, and whether one matched none."""
    if not words:
        return [found[name] for name in sorted(found)], False
    for word in words:
        if word not in found:
            tell.warning(f"No instance matching {word} found.")
    chosen = [found[word] for word in words if word in found]
    return chosen, len(chosen) < len(words)


def _print(found: list[Found], parsed: options.Parsed, form: str, tell: say.Log) -> None:
    rows: list[dict[str, Any]] | None = None
    if parsed.many("filter"):
        from gaovm.cli.lima import querying

        rows = _rows(found)
        kept = querying.filtered(rows, parsed.many("filter"))
        found = [each for each in found if _name(each) in kept]
        rows = [row for row in rows if row["name"] in kept]
    if form == "table":
        if parsed.flag("quiet"):
            for each in found:
                output.out(_name(each))
        elif found:
            output.out(table(found, all_fields=parsed.flag("all-fields")))
        return
    _print_rows(_rows(found) if rows is None else rows, parsed, form, tell)


def _print_rows(
    rows: list[dict[str, Any]], parsed: options.Parsed, form: str, tell: say.Log
) -> None:
    """Print instances as JSON, as YAML or by a template, with what yq makes of them."""
    yq = parsed.many("yq")
    for row in rows:
        if row.get("errors"):
            tell.warning(f'instance "{row["name"]}" has errors: {"; ".join(row["errors"])}')
    if form == "json" and not yq and not say.on_terminal():
        for row in rows:
            output.out(output.json_text(row))
        return
    from gaovm.cli.lima import querying

    if parsed.flag("quiet"):
        yq = [*yq, ".name"]
    text = querying.shown(rows, form, yq, color=say.on_terminal())
    if text:
        output.out(text.rstrip("\n"))


def _name(each: Found) -> str:
    return each if isinstance(each, str) else str(each["name"])


def _rows(found: Sequence[Found]) -> list[dict[str, Any]]:
    """Return the instances as JSON, each with its config."""
    from gaovm.cli.lima import configs

    known = configs.of([each for each in found if not isinstance(each, str)])
    return [
        instances.orphan(each)
        if isinstance(each, str)
        else instances.instance(each, known[str(each["name"])])
        for each in found
    ]


def table(found: Sequence[Found], *, all_fields: bool = False) -> str:
    """Return Lima's table; on a terminal without the columns for which it is too narrow."""
    lines = [HEAD, *map(_cells, found)]
    kept = list(range(len(HEAD)))
    width = None if all_fields else _terminal_width()
    for column in _LOST:
        if width is None or max(map(len, _aligned(lines, kept).split("\n"))) <= width:
            break
        kept.remove(HEAD.index(column))
    return _aligned(lines, kept)


def _aligned(lines: Sequence[Sequence[str]], kept: Sequence[int]) -> str:
    rows = [[output.one_line(line[index]) for index in kept] for line in lines]
    widths = [max(map(len, column)) + _GAP for column in zip(*rows, strict=True)]
    return "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _cells(each: Found) -> tuple[str, ...]:
    if isinstance(each, str):
        return (
            each,
            instances.BROKEN,
            *("-",) * 6,
            listing.short_path(homes.place(each).directory),
        )
    return (
        str(each["name"]),
        instances.status(each),
        "127.0.0.1:0",
        str(each["vm_type"]),
        str(each["arch"]),
        str(each["cpus"]),
        instances.size(each["memory_bytes"]),
        instances.size(each["disk_bytes"]),
        listing.short_path(instances.directory(each)),
    )


def _terminal_width() -> int | None:
    try:
        return os.get_terminal_size(1).columns or None
    except OSError:
        return None


LIST = verb.Verb(
    "list",
    run,
    about="List the instances: those that were made from templates, and the VMs of projects.\n"
    "With LIMA_HOME set, only those whose directory lies in it. A STATUS is Running, Stopped or\n"
    "Broken. A Go template is one that has {{ }}; --list-fields prints the fields it may name.",
    words="[INSTANCE...]",
    count=(0, 10_000),
    flags=(
        options.Option("-f, --format", "json, yaml, table, or a Go template", value="FORMAT"),
        options.Option("--json", "the same as --format json: one object a line"),
        options.Option("-q, --quiet", "only names"),
        options.Option("--all-fields", "every column, also on a narrow terminal"),
        options.Option("--list-fields", "print the fields that a Go template may name"),
        options.Option("--yq", "print what yq makes of each instance", value="EXPR", many=True),
        options.Option(
            "-l, --filter", "only instances for which this is true", value="EXPR", many=True
        ),
    ),
    examples=(
        "gaovm lima list",
        "gaovm lima list --json | jq .name",
        "gaovm lima list --format '{{.Name}} {{.Status}}'",
        "gaovm lima list --filter '.status == \"Running\"' --quiet",
        "gaovm lima list --yq .config.images default",
    ),
)
