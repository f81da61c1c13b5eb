"""The user's wishes for a VM: frozen data, its limits and its differences.

There is one file per noun (boot, processors, memory, disks, network, shares, graphics, guest,
supervision), with the same names as in ``builder``. ``vm.VmSpec`` combines them; the daemon stores
and sends it, and the builder builds from it.

May import: ``errors``, msgspec. Must not: do I/O, know a hypervisor, know Lima's format
(that is ``project``).
"""
