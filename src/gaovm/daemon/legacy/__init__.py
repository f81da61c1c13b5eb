"""Old clients: ``gaovm.v1.2`` on the same socket, translated at the edge and nowhere stored.

They see one VM with id ``default``: the VM of that name, or the one ``GAOVM_DEFAULT_VM`` names.
Every method and every event of theirs is served (``service``), in their shapes and with their
error codes. Their one config is our override layer, seen through their words (``config``).

May import: as ``daemon``. Must not: store anything, or be known by anything but ``daemon.server``.
"""
