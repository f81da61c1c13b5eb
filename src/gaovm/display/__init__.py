"""The window of a VM: it shows the picture of a VNC socket and sends keyboard and pointer back.

``rfb`` speaks the protocol (sans-I/O), ``screen`` holds the picture, ``keys`` translates keys,
``window`` is the Qt window, and ``__main__`` is the process that a driver starts, owns and ends
(decision 0011 says why it is a process of its own). Only that process loads this package.

May import: ``errors``, and in ``window`` PySide6. Must not: know VMs, drivers or daemons.
"""
