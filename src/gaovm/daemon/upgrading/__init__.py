"""One daemon follows another in the same process, and no VM notices.

``upgrade`` is the old code's half, ``takeover`` the new code's half; ``daemon.handover`` is what
passes between them.

May import: any module of the daemon but ``main`` and ``process``. Must not: be imported by others
than these two.
"""
