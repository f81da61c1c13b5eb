"""The seam between GaoVM and the operating system: where Linux, macOS and other Unixes differ.

Each module answers one question. When it is imported it chooses, once, who answers: ``linux/`` or
``portable/`` (any Unix; kqueue where there is one). ``system`` says which half serves.
``GAOVM_PLATFORM=portable`` lets the portable half serve on Linux too. ``confine`` makes cages,
which only Linux has.

May import: ``errors``. Must not: know of VMs, or own tasks (``aio`` does).
"""
