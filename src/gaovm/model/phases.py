"""The phases of an ``up``, with their names in its progress notifications.

When a caller leaves (Ctrl-C) before the agent answers, the daemon undoes the ``up``. After that the
guest may hold the user's work, and the daemon keeps the VM. A phase without a name here counts as
one after the agent's answer.
"""

from __future__ import annotations

IMAGE = "image"
DRIVER = "driver"
BOOT = "boot"
#: The agent answers.
AGENT = "agent"

#: The daemon repeats a failed start.
_RESTART = "restart"
#: Phases of an image's build, its download and its import into the store.
OF_IMAGES = (
    "start",
    "wait",
    "index",
    "download",
    "extract",
    "install",
    "configure",
    "kernel",
    "settings",
    "cleanup",
    "modules",
    "pack",
    "digest",
    "store",
)

BEFORE_AGENT = (IMAGE, *OF_IMAGES, DRIVER, BOOT, _RESTART, "")
