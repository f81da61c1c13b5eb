"""The parts of an ``up`` as its progress names them.

What comes before the agent's answer is undone by a caller that leaves (Ctrl-C); after it the guest
may hold the user's work, and the VM is kept. A phase that is not named here counts as after it.
"""

from __future__ import annotations

IMAGE = "image"
DRIVER = "driver"
BOOT = "boot"
#: The agent answers.
AGENT = "agent"

#: A start that failed is tried again.
_RESTART = "restart"
#: Parts of an image's build, its download and its way into the store.
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
