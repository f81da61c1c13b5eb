"""The window of a VM: the picture of its VNC socket, keyboard and pointer the other way.

``rfb`` speaks the protocol (sans-I/O), ``screen`` holds the picture, ``keys`` knows keyboards,
``window`` is the Qt window, ``__main__`` the process that a driver starts, owns and ends
(``docs/decisions``: why it is a process of its own). Only that process loads any of this.

May import: ``errors``, and in ``window`` PySide6. Must not: know VMs, drivers or daemons.
"""
