"""What only Linux offers: pidfd, inotify, /proc and seccomp.

The modules of ``platform`` choose these, and ``confine`` is built on them. Outside ``platform``
only ``vmmanager``, which filters system calls, imports this package by name.
"""
