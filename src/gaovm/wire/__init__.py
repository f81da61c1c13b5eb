"""What crosses a socket, as types: parameters, results, notifications and events. Pure data.

``control/`` and ``driver/`` have one table each that lists every method of their protocol. The
daemon's dispatch, the driver's service, the typed clients, the upgrade's gate and the reference
pages are all made from these tables. ``agent/`` holds the JSON of the guest agent, ``streams`` and
``sessions`` what goes over a session's socket.

May import: ``model``, ``spec`` and ``errors``. Must not: do I/O.
"""
