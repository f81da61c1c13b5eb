"""``copyToHost`` -> ``spec.guest.copies``: files of the guest's that are copied to the host."""

from __future__ import annotations

from gaovm.project import fields, nodes
from gaovm.project.context import Context
from gaovm.spec.guest import Copy, User

#: The only place in the VM's own directory (``{{.Dir}}``) where copies may be.
DIRECTORY = "copied-from-guest"
MAX_COPIES = 64


def read(root: nodes.Table, user: User, context: Context) -> tuple[Copy, ...]:
    """Read the copies; two to one place are a problem."""
    found: dict[str, Copy] = {}
    entries = fields.tables(root, "copyToHost")
    if len(entries) > MAX_COPIES:
        what, remedy = f"more than {MAX_COPIES} files", "put files into an archive in the guest"
        context.found.problem(root, what, path="copyToHost", remedy=remedy)
        return ()
    for entry in entries:
        inside, host = _path(entry, "guest", user, context), _path(entry, "host", user, context)
        place = None if host is None else _place(entry, host, context)
        if inside is None or place is None:
            continue
        if place in found:
            what = f"{found[place].name} is copied to this file too"
            context.found.problem(
                entry, what, path=fields.below(entry, "host"), remedy="give each its own file"
            )
            continue
        found[place] = Copy(
            name=entry.path,
            guest=inside,
            host=place,
            skip_if_missing=fields.boolean(entry, "skipIfMissing") is True,
            delete_on_stop=fields.boolean(entry, "deleteOnStop") is True,
        )
    return tuple(found.values())


def _path(entry: nodes.Table, key: str, user: User, context: Context) -> str | None:
    node = fields.scalar(entry, key)
    if node is None or not node.text:
        where = fields.below(entry, key)
        context.found.problem(entry, "must be set", path=where, remedy="add the path of a file")
        return None
    if key == "guest":
        path = context.path(node, context.guest_variables(user), user.home)
    else:
        path = context.path(node, context.host_variables(), context.caller.home)
    if path == "/":
        what = "expected the path of a file"
        context.found.problem(node, what, remedy="write the whole path of a file")
        return None
    return path


def _place(entry: nodes.Table, host: str, context: Context) -> str | None:
    """Return a path on the host; one in the VM's own directory relative to that."""
    own = context.host.vm_dir
    if not own or not host.startswith(f"{own}/"):
        return host
    below = host.removeprefix(f"{own}/")
    if below.startswith(f"{DIRECTORY}/"):
        return below
    what = f"{{{{.Dir}}}} holds what the VM is made of; copies go to {{{{.Dir}}}}/{DIRECTORY}"
    context.found.problem(
        entry.entries["host"], what, remedy=f"write {{{{.Dir}}}}/{DIRECTORY}/NAME"
    )
    return None
