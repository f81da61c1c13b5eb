"""The life of a VM: states, events, the one transition table, and the words for people.

``facts`` and ``capabilities`` describe what a host and its back ends offer.

All decisions here are pure functions on data: the daemon passes events in and carries out the
results. Only ``states.apply`` changes a state. A generator makes ``docs/reference/states.md`` from
the table.

May import: ``errors``, ``spec``, msgspec. Must not: do I/O, read a clock,
know processes or sockets.
"""
