"""``gaovm disk create | ls | resize | import | unlock | rm``."""

from __future__ import annotations

import os

from gaovm import errors
from gaovm.cli import calls, options, output, progress, project_dir, waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

HEAD = ("NAME", "SIZE", "TAKES", "FORMAT", "IN USE BY", "NAMED BY")


def show(parsed: options.Parsed) -> int:
    """List the named disks."""
    disks = _all()
    if parsed.flag("json"):
        output.json_out({"disks": disks})
        return 0
    if disks:
        output.out(output.table(HEAD, [row(disk) for disk in disks]))
    else:
        output.err("No disks yet.  Make one:  gaovm disk create data --size 10GiB")
    for disk in disks:
        if disk.get("problem"):
            output.err(output.harmless(f"warning: disk {disk['name']}: {disk['problem']}"))
    return 0


def create(parsed: options.Parsed) -> int:
    """Make an empty disk."""
    params = {"name": parsed.words[0], "size_bytes": _size(parsed, CREATE)}
    if parsed.flag("format"):
        params["format"] = parsed.text("format")
    with calls.connect() as client:
        return _made(parsed, client.call("disk.create", params))


def bring(parsed: options.Parsed) -> int:
    """Make a disk from a copy of a file."""
    name, path = parsed.words
    # the daemon has another working directory
    path = os.path.join(project_dir.working_directory(), path)  # noqa: PTH118 (keeps "..")
    params = {"name": name, "path": path}
    with calls.connect() as client, progress.to_stderr(quiet=True) as shown:
        return _made(parsed, waiting.long_call(client, "disk.import", params, shown))


def resize(parsed: options.Parsed) -> int:
    """Make a disk larger."""
    params = {"name": parsed.words[0], "size_bytes": _size(parsed, RESIZE)}
    with calls.connect() as client:
        return _made(parsed, client.call("disk.resize", params))


def remove(parsed: options.Parsed) -> int:
    """Remove disks."""
    removed = []
    with calls.connect() as client:
        for name in parsed.words:
            params: dict[str, Any] = {"name": name}
            if parsed.flag("force"):
                params["force"] = True
            removed.append(client.call("disk.remove", params))
    if parsed.flag("json"):
        output.json_out({"removed": removed})
        return 0
    for disk in removed:
        output.err(f"removed {disk['name']}; {output.size(disk['freed_bytes'])} freed")
    return 0


def unlock(parsed: options.Parsed) -> int:
    """Say who has a disk: a lock that nobody holds cannot stay behind."""
    name = parsed.words[0]
    disk = next((each for each in _all() if each.get("name") == name), None)
    if disk is None:
        raise errors.NotFound(f"there is no disk {name!r}", actions=(errors.Action("list_disks"),))
    user = disk.get("in_use_by")
    if user:
        raise errors.DiskInUse(
            f"disk {name} is in use by VM {user}",
            remedy="a lock ends with its VM: stop that",
            actions=(errors.Action("stop_vm", name=str(user)),),
        )
    output.err(f"disk {name} is not locked: a lock ends with the process that holds it")
    return 0


def row(disk: Mapping[str, Any]) -> tuple[str, ...]:
    """One line of the table."""
    return (
        str(disk.get("name")),
        output.size(disk.get("size_bytes")),
        output.size(disk.get("used_bytes")),
        str(disk.get("format")),
        str(disk.get("in_use_by") or "-"),
        " ".join(str(name) for name in disk.get("used_by") or ()) or "-",
    )


def _all() -> list[Any]:
    with calls.connect() as client:
        disks: list[Any] = client.call("disk.list", {})["disks"]
    return disks


def _size(parsed: options.Parsed, command: options.Command) -> int:
    from gaovm.project import sizes

    text = parsed.text("size")
    if not text:
        raise command.mistake("--size is missing: for example --size 10GiB")
    try:
        return sizes.parse(text)
    except ValueError as exc:
        raise command.mistake(f"--size: {exc}") from exc


def _made(parsed: options.Parsed, disk: Mapping[str, Any]) -> int:
    if parsed.flag("json"):
        output.json_out(disk)
    else:
        output.out(output.table(HEAD, [row(disk)]))
    return 0


LS = options.Command(
    "disk ls",
    show,
    about="List the named disks: the size that a guest sees, what the disk takes here, the VM\n"
    "that has it now, and the VMs whose config names it.",
    options=(options.JSON,),
    examples=("gaovm disk ls",),
)

CREATE = options.Command(
    "disk create",
    create,
    about="Make an empty disk that belongs to no VM and outlives every VM. A config attaches it\n"
    "by its name:  additionalDisks: [data]. The VM has it at /mnt/lima-data. The first VM makes a\n"
    "file system on it. It takes space only as it is written.",
    words="DISK",
    count=(1, 1),
    options=(
        options.Option("--size", "what the guest sees, such as 10GiB", value="SIZE"),
        options.Option(
            "--format", "the file's (default: qcow2)", value="FORMAT", choices=("qcow2", "raw")
        ),
        options.JSON,
    ),
    examples=("gaovm disk create data --size 10GiB",),
)

RESIZE = options.Command(
    "disk resize",
    resize,
    about="Make a disk larger; it may not become smaller. The file system on it grows when a VM\n"
    "next starts with it. Stop the VM that uses it first.",
    words="DISK",
    count=(1, 1),
    options=(
        options.Option("--size", "the new size, such as 20GiB", value="SIZE"),
        options.JSON,
    ),
    examples=("gaovm disk resize data --size 20GiB",),
)

IMPORT = options.Command(
    "disk import",
    bring,
    about="Make a disk from a copy of a raw or qcow2 file. A qcow2 that refers to another file is\n"
    "refused.",
    words="DISK FILE",
    count=(2, 2),
    options=(options.JSON,),
    examples=("gaovm disk import data ./backup.qcow2",),
)

UNLOCK = options.Command(
    "disk unlock",
    unlock,
    about="Say which VM has a disk. There is nothing to unlock: a lock ends with the process that\n"
    "holds it, so none stays behind.",
    words="DISK",
    count=(1, 1),
    examples=("gaovm disk unlock data",),
)

RM = options.Command(
    "disk rm",
    remove,
    about="Remove disks and all that is on them. A disk that a VM uses stays, and so does one\n"
    "that a config names, unless --force is given.",
    words="DISK...",
    count=(1, 100),
    options=(options.Option("-f, --force", "although a config names it"), options.JSON),
    examples=("gaovm disk rm data",),
)
