"""One daemon follows another in the same process, and no VM notices.

``upgrade`` is the old code's half, ``takeover`` the new one's; what passes between them is
``daemon.handover``.

May import: any module of the daemon but ``main``. Must not: be imported by them.
"""
