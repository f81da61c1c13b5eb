"""QEMU and everything that serves it: its process and monitor, its cage, disks, shares and network.

One file per noun, with the same names as in ``builder.qemu``. Each program that QEMU needs beside
it has its own file (``virtiofsd``, ``sftp``, ``network.passt``, ``overlay`` for qemu-img).
``lifetime`` starts QEMU from the builder's document.

May import: what ``vmmanager`` may. Must not: know another hypervisor.
"""
