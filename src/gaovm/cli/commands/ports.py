"""``gaovm port add | ls | rm``."""

from __future__ import annotations

from gaovm import errors
from gaovm.cli import calls, options, output, target
from gaovm.cli.commands import status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HEAD = ("HOST", "GUEST", "FROM", "STATE")


def add(parsed: options.Parsed) -> int:
    """Forward one port; the host port may be left to choose."""
    params = forward(parsed.words[0])
    if parsed.flag("udp"):
        params["proto"] = "udp"
    if parsed.flag("host-port"):
        if "host_port" in params:
            raise ADD.mistake(f"two host ports were given: {parsed.words[0]} and --host-port")
        params["host_port"] = number(parsed.text("host-port") or "", least=0)
    for option, key in (("host-ip", "host_ip"), ("guest-ip", "guest_ip")):
        if parsed.flag(option):
            params[key] = parsed.text(option)
    params["name"] = target.vm_name(parsed, word=1)
    with calls.connect() as client:
        port = calls.call(client, "vm.ports.add", params)
    if parsed.flag("json"):
        output.json_out(port)
    else:
        output.out(status.port_line(port))
    return 0


def show(parsed: options.Parsed) -> int:
    """List the forwarded ports of one VM."""
    name = target.vm_name(parsed)
    with calls.connect() as client:
        listed = calls.call(client, "vm.ports.list", {"name": name})
    ports = listed["ports"]
    if listed.get("problem"):
        output.err(f"gaovm: {output.one_line(str(listed['problem']))}")
    if parsed.flag("json"):
        output.json_out({"ports": ports})
    elif ports:
        output.out(output.table(HEAD, [_row(port) for port in ports]))
    else:
        add_one = target.command("port add 8080", name)
        output.err(f"{target.called(name)} forwards no port.  Add one:  {add_one}")
    return 0


def remove(parsed: options.Parsed) -> int:
    """Stop forwarding: by host port, or by guest port."""
    params: dict[str, Any] = {"name": target.vm_name(parsed, word=1)}
    key = "guest_port" if parsed.flag("guest") else "host_port"
    params[key] = number(parsed.words[0])
    with calls.connect() as client:
        removed = calls.call(client, "vm.ports.remove", params)["removed"]
    if not removed:
        raise errors.NotFound(
            f"{target.called(params['name'])} forwards no {key.replace('_', ' ')} {params[key]}",
            remedy=target.command("port ls", params["name"]),
        )
    if parsed.flag("json"):
        output.json_out({"removed": removed})
        return 0
    for port in removed:
        output.err(f"removed {port.get('host_ip')}:{port.get('host_port')}")
    return 0


def forward(word: str) -> dict[str, Any]:
    """``GUEST`` or ``HOST:GUEST`` as parameters.

    Raises:
        errors.UsageError: not a port number.
    """
    host, colon, guest = word.rpartition(":")
    params: dict[str, Any] = {"guest_port": number(guest)}
    if colon:
        params["host_port"] = number(host, least=0)
    return params


def number(text: str, *, least: int = 1) -> int:
    """A port number.

    Raises:
        errors.UsageError: not an integer between ``least`` and 65535.
    """
    if not (text.isascii() and text.isdigit() and least <= int(text[:6]) <= 65535):
        raise errors.UsageError(f"{text!r} is no port: a number from {least} to 65535")
    return int(text)


def _row(port: dict[str, Any]) -> tuple[str, ...]:
    return (
        status.host_end(port, "-"),
        status.guest_end(port),
        "file" if port.get("source") == "config" else "port add",
        status.port_state(port) + (f": {port['problem']}" if port.get("problem") else ""),
    )


ADD = options.Command(
    "port add",
    add,
    about="Forward a port of the host to a port of the VM, until it is removed.\n"
    "The guest's server may listen on 127.0.0.1 only. Without HOST any free port is chosen.",
    words="[HOST:]GUEST [NAME]",
    count=(1, 2),
    options=(
        options.NAME,
        options.Option("--host-port", "the host's port (0: any free one)", value="PORT"),
        options.Option("--udp", "forward UDP instead of TCP"),
        options.Option("--host-ip", "bind this address (default 127.0.0.1)", value="IP"),
        options.Option("--guest-ip", "connect there in the guest (default 127.0.0.1)", value="IP"),
        options.JSON,
    ),
    examples=("gaovm port add 8080", "gaovm port add 3000:80", "gaovm port add 5432 db-dev"),
)

LS = options.Command(
    "port ls",
    show,
    about="List the forwarded ports of the VM. STATE: listening (a server in the VM accepts\n"
    "connections), nobody listens, forwarded (the VM did not answer), taken or refused (the host\n"
    "port cannot be opened, and why), stopped. A port of the file is open while a server listens.",
    words="[NAME]",
    count=(0, 1),
    options=(options.NAME, options.JSON),
    examples=("gaovm port ls", "gaovm port ls web-dev --json"),
)

RM = options.Command(
    "port rm",
    remove,
    about="Stop forwarding a port that was added; PORT is the host's.",
    words="PORT [NAME]",
    count=(1, 2),
    options=(
        options.NAME,
        options.Option("--guest", "PORT is the guest's"),
        options.JSON,
    ),
    examples=("gaovm port rm 8080", "gaovm port rm --guest 80"),
)
