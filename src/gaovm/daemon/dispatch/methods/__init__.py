"""The functions behind the methods of ``gaovm.control.v1``, one file per noun.

Each takes the daemon, the call and the decoded parameters, and returns the result's struct.
``service`` binds them to the rows of ``wire.control.table``.

May import: the daemon's other modules but ``service``, ``server`` and ``main``.
Must not: touch sockets or decode bytes.
"""
