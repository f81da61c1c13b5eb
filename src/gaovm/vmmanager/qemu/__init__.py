"""QEMU and all that serves it: its process and monitor, its cage, disks, shares and network.

One file per noun, the same names as in ``builder.qemu``; the programs that QEMU needs beside it
have a file each (``virtiofsd``, ``passt``, ``overlay`` for qemu-img). ``lifetime`` starts QEMU from
the builder's document.

May import: what ``vmmanager`` may. Must not: know another hypervisor.
"""
