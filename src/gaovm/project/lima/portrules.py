"""Lima's port rules in a file: an entry of ``portForwards`` -> a rule with Lima's defaults."""

from __future__ import annotations

import ipaddress
from typing import Literal

import msgspec

from gaovm.project import fields, nodes
from gaovm.spec.portrules import ANY, LOOPBACK, MAX_PORT, Rule


def read(root: nodes.Table) -> tuple[Rule, ...]:
    """Return the rules of a whole config that forward from the guest; wrong ones are left out."""
    entries = fields.tables(root, "portForwards")
    found = [rule(entry) for entry in entries if not fields.boolean(entry, "reverse")]
    return tuple(each for each in found if each is not None)


def rule(entry: nodes.Table) -> Rule | None:
    """Return an entry of ``portForwards`` with Lima's defaults; None: its values are wrong."""
    zero = fields.boolean(entry, "guestIPMustBeZero")
    guest_ip = _address(entry, "guestIP", ANY if zero else LOOPBACK)
    host_ip = _address(entry, "hostIP", LOOPBACK)
    guest, host = _ports(entry, "guest"), _ports(entry, "host")
    if guest_ip is None or host_ip is None or not guest or not host:
        return None
    (first, last), (host_first, _) = guest, host
    return Rule(
        1 if first is None else first,
        MAX_PORT if last is None else last,
        guest_ip,
        must_be_zero=guest_ip == ANY if zero is None else zero,
        ignore=fields.boolean(entry, "ignore") is True,
        field=entry.path,
        proto=_proto(entry),
        host_ip=host_ip,
        host_first=host_first,
        host_socket=fields.text(entry, "hostSocket") or "",
        guest_socket=fields.text(entry, "guestSocket") or "",
        static=fields.boolean(entry, "static") is True,
    )


def _proto(entry: nodes.Table) -> Literal["tcp", "udp", "any"]:
    text = fields.text(entry, "proto")
    return "tcp" if text == "tcp" else "udp" if text == "udp" else "any"


def _address(entry: nodes.Table, key: str, default: str) -> str | None:
    text = fields.text(entry, key)
    try:
        return str(ipaddress.ip_address(text)) if text else default
    except ValueError:
        return None


def _ports(entry: nodes.Table, side: str) -> tuple[int | None, int | None] | None:
    """Return the first and the last port of a side; None for both: it names none; None: wrong."""
    single, both = fields.get(entry, f"{side}Port"), fields.get(entry, f"{side}PortRange")
    least = 0 if side == "host" else 1
    if single is not None:
        number = single.integer if isinstance(single, nodes.Scalar) else None
        if number == 0 and side == "guest":
            return None, None
        return (number, number) if number is not None and least <= number <= MAX_PORT else None
    if not isinstance(both, nodes.Sequence):
        return None, None
    numbers = [item.integer for item in both.items if isinstance(item, nodes.Scalar)]
    first, last = numbers if len(numbers) == 2 else (None, None)
    if first is None or last is None or not least <= first <= last <= MAX_PORT:
        return None
    return first, last


def with_socket(rule: Rule, socket: str) -> Rule:
    """Return the rule with its host socket's path in its final form."""
    return msgspec.structs.replace(rule, host_socket=socket)
