"""The command line: one file per command group, each command declared once (``options.Command``).

``main`` imports only the file of the command that was asked for; ``ls``, ``status``, ``exec``,
``shell``, ``up`` and ``stop`` load neither asyncio nor msgspec nor a YAML parser.

May import: ``client``, ``hostfacts``, the pure packages (``project``, ``builder``, ``model``,
``spec``), ``errors``. Must not: know the daemon, a driver or a hypervisor; decide anything the
daemon decides.
"""
