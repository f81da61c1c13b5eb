"""The image store: build, pull, verify, garbage-collect; and the initramfs.

An image is a root file system without a partition table, a kernel and the kernel modules the
initramfs needs, kept under the digest of its manifest. Entry points: ``store.ImageStore`` (what the
daemon calls), ``recipes`` (pure: what goes into an image), ``initramfs`` (what the guest boots
first).

May import ``errors``, ``aio``, ``spec`` and ``hostfacts``; must not import the daemon, the driver
or a front end, and knows nothing of VMs: which images are in use is told to it.
"""
