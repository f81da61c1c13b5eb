"""``vmOpts.gaovm.sync`` and ``rebuild``: the commands that renew a guest's own set-up.

``sysinit-vm`` runs them in the guest. They are no part of the spec: no VM runs otherwise for them.
"""

from __future__ import annotations

from gaovm.project import fields, nodes

_FLAKE = "github:roshbhatia/sysinit#lima-dev"
DEFAULTS = {
    "sync": f"home-manager switch --flake {_FLAKE}",
    "rebuild": f"sudo nixos-rebuild switch --flake {_FLAKE}",
}


def command(root: nodes.Table, kind: str) -> str:
    """Return the config's command for ``sync`` or ``rebuild``; an empty text is the default."""
    own = fields.text(fields.table(fields.table(root, "vmOpts"), "gaovm"), kind)
    return (own or "").strip() or DEFAULTS[kind]
