"""The daemon's storage: the database of records and events, its writer, its upkeep, its repair.

``store`` is the way in; ``events`` is the numbered log on top of it. All writes in one turn of the
event loop are one transaction, which is on disk before the daemon reports it to anybody.

May import: ``timestamps``, the types of ``wire``, the model and the spec. Must not: know a machine
or a client.
"""
