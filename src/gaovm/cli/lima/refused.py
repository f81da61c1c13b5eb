"""The verbs of Lima that GaoVM does without, each with the reason."""

from __future__ import annotations

REASONS = {
    "sudoers": "it lets socket_vmnet run as root; GaoVM needs no rights for a VM's network",
    "network": "every VM has a network of its own through passt; there are no networks to manage",
    "tunnel": "there is no SOCKS proxy into a VM; forward single ports with `gaovm port add`",
    "snapshot": "a VM's disk has no snapshots yet",
    "rename": "a VM keeps its name; make another instance from the same template",
    "start-at-login": "see `gaovm daemon enable`",
    "hostagent": "it is a part of Lima's own; GaoVM's driver does its work",
    "usernet": "it is a part of Lima's own; passt does its work",
    "guest-install": "it installs containerd's archive into macOS guests",
    "generate-doc": "gaovm's pages are in docs/",
    "generate-jsonschema": "docs/lima.md has the fields",
    "debug": "it tests Lima's own name server",
    "mcp": "it is a plug-in of Lima's, a program of its own",
    "pause": "not in Lima either; `gaovm pause NAME`",
}
