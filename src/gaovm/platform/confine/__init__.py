"""A cage for a program that may turn hostile: it reaches only what it is given.

``cage`` describes a cage and starts nothing; ``inside`` makes it, between fork and exec.
``abilities`` finds what this host and this user can do. ``identities`` lends user ids, ``groups``
makes control groups, ``landlock`` applies the kernel's file rules, and ``calls`` has the system
calls that Python has no names for.

May import: ``errors``, ``aio``. Must not: know what is confined.
"""
