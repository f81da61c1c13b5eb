"""``ssh`` -> ``spec.ssh``."""

from __future__ import annotations

from gaovm.project import fields, nodes
from gaovm.project.context import Context
from gaovm.spec.ssh import Ssh

_NO_PORT = "no port of the host leads to an sshd; the alias {alias} for ssh needs none"


def read(root: nodes.Table, context: Context) -> Ssh:
    """Read what OpenSSH may do; warn about a port, which no guest needs."""
    table = fields.table(root, "ssh")
    port = fields.scalar(table, "localPort")
    if port is not None and port.integer:
        context.found.warning(port, _NO_PORT.format(alias=f"gaovm-{context.name}"))
    trusted = fields.boolean(table, "forwardX11Trusted") is True
    forwards = fields.boolean(table, "forwardX11") is True
    if trusted and not forwards:
        node = fields.scalar(table, "forwardX11Trusted")
        context.found.warning(node or table, "has no effect without ssh.forwardX11: true")
    return Ssh(
        load_public_keys=fields.boolean(table, "loadDotSSHPubKeys") is True,
        forward_agent=fields.boolean(table, "forwardAgent") is True,
        forward_x11=forwards,
        forward_x11_trusted=forwards and trusted,
    )
