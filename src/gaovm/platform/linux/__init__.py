"""What only Linux offers: pidfd, inotify, /proc and seccomp.

The modules of ``platform`` choose these, and ``confine`` is built of them. Nothing else
imports this package by name but ``vmmanager``, which filters system calls.
"""
