"""QEMU: its monitor, its disks (``qemu-img``) and the virtiofsd of a share.

One file per noun, the same names as in ``builder.qemu``. QEMU itself is started from the builder's
document by ``lifetime``.

May import: what ``vmmanager`` may. Must not: know another hypervisor.
"""
