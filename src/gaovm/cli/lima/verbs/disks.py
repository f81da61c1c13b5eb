"""``gaovm lima disk``: Lima's spelling of the verbs of ``gaovm disk``."""

from __future__ import annotations

from typing import Any

from gaovm import errors
from gaovm.cli import calls, catalog, options, output
from gaovm.cli import main as gaovm_main
from gaovm.cli.lima import instances, say, verb

#: Lima's verb -> ours.
_VERBS = {
    "create": "create",
    "list": "ls",
    "ls": "ls",
    "delete": "rm",
    "remove": "rm",
    "rm": "rm",
    "resize": "resize",
    "import": "import",
    "unlock": "unlock",
}
_HEAD = ("NAME", "SIZE", "FORMAT", "DIR", "IN-USE-BY")
_LIST = "disk.list"
#: Global flags, which ``gaovm disk`` does not know.
_OURS = ("--tty", "--yes", "-y", "--debug")


def disk(parsed: options.Parsed, tell: say.Log) -> int:
    """Run the verb of ``gaovm disk`` that a verb of Lima's means."""
    words = [word for word in parsed.rest if word.partition("=")[0] not in _OURS]
    meant = words[0] if words else ""
    if meant not in _VERBS:
        raise DISK.mistake(f"unknown command {meant!r} for disk: one of {', '.join(_VERBS)}")
    ours = f"disk {_VERBS[meant]}"
    if ours not in catalog.COMMANDS:
        raise errors.UsageError("this GaoVM has no disks that outlive a VM")
    if _VERBS[meant] == "ls":
        return _list(words[1:], tell)
    return gaovm_main.run([*ours.split(), *words[1:]]) and 1


def _list(words: list[str], tell: say.Log) -> int:
    """List the disks, or those that are named, as Lima does."""
    wanted = [word for word in words if not word.startswith("-")]
    with calls.connect() as client:
        disks = client.call(_LIST, {})["disks"]
    found = [each for each in disks if not wanted or each["name"] in wanted]
    for name in wanted:
        if name not in {each["name"] for each in disks}:
            tell.error(f"disk `{name}` does not exist.")
    if "--json" in words:
        for each in found:
            output.out(output.json_text(_json(each)))
    elif found:
        output.out(output.table(_HEAD, [_row(each) for each in found]))
    elif not wanted:
        tell.warning("No disk found. Run `limactl disk create DISK --size SIZE` to create a disk.")
    return 0


def _json(each: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": each["name"],
        "size": each["size_bytes"],
        "format": each["format"],
        "dir": each["dir"],
        "instance": each["in_use_by"] or "",
        "instanceDir": "",
        "mountPoint": f"/mnt/lima-{each['name']}",
    }


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    size = instances.size(each["size_bytes"])
    return (each["name"], size, each["format"], each["dir"], each["in_use_by"] or "")


DISK = verb.Verb(
    "disk",
    disk,
    about="disk create NAME --size SIZE, disk list, disk delete NAME..., disk resize NAME --size\n"
    "SIZE, disk import NAME FILE, disk unlock NAME: disks that outlive instances.",
    rest="VERB [WORDS...]",
    greedy=True,
    examples=("gaovm lima disk create data --size 10GiB",),
)
