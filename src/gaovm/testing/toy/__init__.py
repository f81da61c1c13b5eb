"""A second back end, only for tests: a process that plays a machine and takes orders as JSON lines.

It proves that back ends are exchangeable: the driver's tests run with it as with QEMU. ``build``
makes its document, ``manager`` runs a VM from the document, ``program`` is the process, ``zygote``
forks drivers that know this back end.

May import: what ``builder`` and ``vmmanager`` may. Must not: be imported by product code.
"""
