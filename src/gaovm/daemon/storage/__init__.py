"""What is kept: the database of records and events, its writer, its upkeep, and what damage means.

``store`` is the way in; ``events`` the numbered log on top of it. All that is written in one turn
of the event loop is one transaction, on disk before anybody is told.

May import: ``timestamps``, ``paths``, the model and the spec. Must not: know a machine or a client.
"""
