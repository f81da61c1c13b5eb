"""The image store: it builds, pulls, checks and deletes images, and makes the initramfs.

An image is a root file system without a partition table, a kernel, and the kernel modules that the
initramfs needs. The digest of its manifest is its name. Entry points: ``store.ImageStore`` (which
the daemon calls), ``recipes`` (pure: what goes into an image), ``initramfs`` (which the guest boots
first).

May import ``errors``, ``aio``, ``spec`` and ``hostfacts``. Must not import the daemon, the driver
or a front end. It knows no VMs: its callers say which images are in use.
"""
