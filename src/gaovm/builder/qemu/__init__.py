"""VM spec + host facts -> QEMU command line.

``build.build`` puts the nouns together, one file each: ``machine boot processors memory disks
network shares pipes``. ``quoting`` is the only place that writes QEMU's option syntax; wherever
QEMU takes JSON, JSON is used. Descriptors are placeholders until ``document.resolve``.

May import: ``builder``, ``spec``, ``errors``. Must not: do I/O, know vmmanager or driver.
"""
