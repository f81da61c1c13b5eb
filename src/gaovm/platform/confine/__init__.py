"""A place of its own for a program that may turn hostile: what it can reach is what it is given.

``cage`` says what a place is like and starts nothing; ``inside`` makes it, between fork and exec;
``abilities`` finds what this host and this user can do. ``identities`` lends user ids, ``groups``
makes control groups, ``landlock`` the kernel's file rules, ``calls`` has the system calls that
Python has no names for.

May import: ``errors``, ``aio``. Must not: know what is confined.
"""
