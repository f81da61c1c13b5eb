"""VM spec + host facts -> QEMU command line.

``build.build`` combines the nouns, one file each: ``machine boot processors memory disks network
shares pipes``. Only ``quoting`` writes QEMU's option syntax; the package uses JSON wherever QEMU
accepts it. Descriptors are placeholders until ``document.resolve``.

May import: ``builder``, ``spec``, ``errors``. Must not: do I/O, know vmmanager or driver.
"""
