"""Old clients: ``gaovm.v1.2`` on the same socket. The daemon translates it and stores none of it.

Old clients see one VM with id ``default``: the VM of that name, or the one that
``GAOVM_DEFAULT_VM`` names. The daemon serves all their methods and events (``service``), in their
shapes and with their error codes. Their one config is our override layer in their words
(``config``).

May import: as ``daemon``. Must not: store anything, or be known by anything but ``daemon.server``.
"""
