"""What a user wants of a VM: frozen data, its limits and its differences.

One file per noun (boot, processors, memory, disks, network, shares, graphics, guest,
supervision), the same names as in ``builder``. ``vm.VmSpec`` puts them together and is what is
stored, sent and built from.

May import: ``errors``, msgspec. Must not: do I/O, know a hypervisor, know Lima's format
(that is ``project``).
"""
