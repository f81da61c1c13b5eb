"""``hostResolver`` and ``dns`` -> names and name servers of ``spec.guest``."""

from __future__ import annotations

import ipaddress
import re

from gaovm.project import fields, nodes
from gaovm.project.context import Context
from gaovm.spec.guest import HOST_NAME

_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?\Z")
#: The kernel's argument ``ip=`` has room for two.
MAX_SERVERS = 2


def read_hosts(root: nodes.Table, context: Context, *, opened: bool) -> dict[str, str]:
    """Read ``hostResolver.hosts``: each name with its IP address, or ``host.lima.internal``.

    ``opened``: the guest reaches the host.
    """
    table = fields.table(fields.table(root, "hostResolver"), "hosts")
    wanted = {
        key: node.text
        for key, node in table.entries.items()
        if isinstance(node, nodes.Scalar) and not node.is_null
    }
    found = {}
    for key in wanted:
        node = table.entries[key]
        if not _NAME.match(key):
            what = "expected a host name"
            context.found.problem(node, what, remedy="use letters, digits, dots and hyphens")
            continue
        address = _address(key, wanted)
        if address is None:
            shown = nodes.describe(node)
            what = f"GaoVM puts names into the guest's /etc/hosts, so {shown} has to be an IP "
            what += f"address, {HOST_NAME}, or another name here; it is left out"
            context.found.warning(node, what)
        elif address == HOST_NAME and not opened:
            what = "it leads to this machine, which is closed to the guest; it is left out"
            context.found.warning(node, f"{what} (vmOpts.gaovm.hostAccess opens it)")
        else:
            found[key] = address
    return found


def _address(name: str, wanted: dict[str, str]) -> str | None:
    """Follow names to an address; None: they lead nowhere, or in a circle."""
    seen = set()
    while name not in seen:
        seen.add(name)
        value = wanted.get(name)
        if value is None:
            return None
        if value == HOST_NAME and HOST_NAME not in wanted:
            return HOST_NAME
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            name = value
    return None


def read_servers(root: nodes.Table, context: Context) -> tuple[str, ...]:
    """Read ``dns``; empty: the guest asks the host's resolver."""
    node = fields.get(root, "dns")
    items = node.items if isinstance(node, nodes.Sequence) else ()
    found: list[str] = []
    for item in items:
        text = item.text if isinstance(item, nodes.Scalar) else ""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            what = f"expected an IP address, found {nodes.describe(item)}"
            context.found.problem(item, what, remedy="write the address of a name server")
            continue
        if address.version != 4:
            context.found.warning(item, "the guest's network is IPv4 alone; it is left out")
        elif len(found) == MAX_SERVERS:
            context.found.warning(item, f"the guest takes the first {MAX_SERVERS}; it is left out")
        else:
            found.append(str(address))
    return tuple(found)
