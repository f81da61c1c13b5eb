"""A second back end, for tests only: a process that plays a machine, told what to do in JSON lines.

It proves the seam: the driver's own tests run with it as with QEMU. ``build`` makes its document,
``manager`` runs a VM from that, ``program`` is the process, ``zygote`` forks drivers that know it.

May import: what ``builder`` and ``vmmanager`` may. Must not: be imported by what is shipped.
"""
