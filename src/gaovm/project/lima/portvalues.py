"""What Lima checks of ``portForwards`` and of ``ssh.localPort``."""

from __future__ import annotations

from gaovm.project import fields, nodes
from gaovm.project.lima.reporting import Report
from gaovm.spec.portrules import ANY, MAX_PORT

_PROTOS = ("tcp", "udp", "any")
_UNIX_PATH_MAX = 108
_PORT_REMEDY = f"write a port from 1 to {MAX_PORT}"
_SIDES = ("guest", "host")


def check_ssh(root: nodes.Table, report: Report) -> None:
    """Check ``ssh.localPort``; 0 means any free port."""
    node = fields.scalar(fields.table(root, "ssh"), "localPort")
    if node is not None and node.integer:
        _port(node, report)


def check(root: nodes.Table, report: Report) -> None:
    """Check every rule."""
    for entry in fields.tables(root, "portForwards"):
        zero = fields.scalar(entry, "guestIPMustBeZero")
        address = fields.text(entry, "guestIP")
        if zero is not None and zero.boolean and address not in (None, "", ANY):
            what = f"can only be true when field `{entry.path}.guestIP` is 0.0.0.0"
            report.field(zero, what, "write guestIP: 0.0.0.0, or take guestIPMustBeZero out")
        ranges = [_side(entry, side, report) for side in _SIDES]
        _lengths(entry, ranges, report)
        _sockets(entry, ranges, report)
        proto = fields.scalar(entry, "proto")
        if proto is not None and proto.text not in (*_PROTOS, ""):
            report.field(proto, "must be `tcp`, `udp`, or `any`", "take proto out")
        reverse = fields.scalar(entry, "reverse")
        whole = all(fields.text(entry, f"{side}Socket") for side in _SIDES)
        if reverse is not None and reverse.boolean and not whole:
            report.field(reverse, "must be false", "give guestSocket and hostSocket both")


def _side(entry: nodes.Table, side: str, report: Report) -> tuple[int, int] | None:
    """Check port and range of one side; return the range, None when it is not usable or given."""
    single, both = fields.scalar(entry, f"{side}Port"), fields.get(entry, f"{side}PortRange")
    if single is not None and single.integer:
        if fields.text(entry, f"{side}Socket"):
            what = f"must be 0 when field `{entry.path}.{side}Socket` is set"
            report.field(single, what, f"take {side}Port or {side}Socket out")
        if not _port(single, report):
            return None
    if not isinstance(both, nodes.Sequence):
        number = None if single is None else single.integer
        return (number, number) if number else None
    numbers = [item.integer for item in both.items if isinstance(item, nodes.Scalar)]
    ports = [number for number in numbers if number is not None]
    if len(ports) != 2:
        report.field(both, "expected two ports, in order", "write [FIRST, LAST]")
        return None
    fine = [_port(item, report) for item in both.items if isinstance(item, nodes.Scalar)]
    if not all(fine):
        return None
    if single is not None and single.integer and single.integer != ports[0]:
        what = f"must match field `{entry.path}.{side}PortRange[0]`"
        report.field(single, what, f"take {side}Port out")
    if ports[0] > ports[1]:
        field = f"{both.path}[1]"
        what = f"must be greater than or equal to field `{both.path}[0]`"
        report.field(both, what, "write [FIRST, LAST], the smaller first", path=field)
        return None
    return ports[0], ports[1]


def _port(node: nodes.Scalar, report: Report) -> bool:
    number = node.integer or 0
    what = ""
    if number < 0:
        what = "must be > 0"
    elif number == 0:
        what = "must be set"
    elif number > MAX_PORT:
        what = "must be < 65536"
    if what:
        report.field(node, what, _PORT_REMEDY)
    return not what


def _lengths(entry: nodes.Table, ranges: list[tuple[int, int] | None], report: Report) -> None:
    guest, host = ranges
    if guest is None or host is None or fields.text(entry, "hostSocket"):
        return
    if guest[1] - guest[0] != host[1] - host[0]:
        where = fields.below(entry, "hostPortRange")
        what = f"must specify the same number of ports as field `{entry.path}.guestPortRange`"
        report.field(entry, what, "make both ranges equally long", path=where)


def _sockets(entry: nodes.Table, ranges: list[tuple[int, int] | None], report: Report) -> None:
    for side, direction, other in (("guest", "to", 1), ("host", "from", 0)):
        node = fields.scalar(entry, f"{side}Socket")
        if node is None or not node.text:
            continue
        if side == "guest" and not node.text.startswith(("/", "{{")):
            what = f"must be an absolute path, but is `{node.text[:60]}`"
            report.field(node, what, "write the whole path in the guest")
        span = ranges[other]
        opposite = fields.text(entry, f"{_SIDES[other]}Socket")
        if span is not None and not opposite and span[1] > span[0]:
            what = f"can only be mapped {direction} a single port or socket. not a range"
            report.field(node, what, "give one port")
        size = len(node.text.encode())
        if side == "host" and size >= _UNIX_PATH_MAX:
            what = f"must be less than UNIX_PATH_MAX={_UNIX_PATH_MAX} characters, but is {size}"
            report.field(node, what, "give a shorter path; a bare name lies below {{.Dir}}/sock")
