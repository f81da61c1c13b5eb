"""What can become of a VM: states, events, the one transition table, and the words for people.

``facts`` and ``capabilities`` describe what a host and its back ends offer.

Pure decisions on data: the daemon feeds events and carries out what follows. ``states.apply`` is
the only writer of a state; ``docs/reference/states.md`` is generated from the table.

May import: ``errors``, ``spec``, msgspec. Must not: do I/O, read a clock,
know processes or sockets.
"""
