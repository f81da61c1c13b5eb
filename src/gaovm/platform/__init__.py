"""The seam between GaoVM and the operating system: what Linux, macOS and other Unixes do otherwise.

Each module answers one question and chooses once, when it is imported, who answers it: ``linux/``
or ``portable/`` (any Unix; kqueue where there is one). ``system`` says which half serves, and
``GAOVM_PLATFORM=portable`` lets the portable half serve on Linux too. ``confine`` makes cages,
which only Linux has.

May import: ``errors``. Must not: know of VMs, or own tasks (``aio`` does).
"""
