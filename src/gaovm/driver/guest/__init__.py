"""The driver's view of the guest, through its agent: set-up after a boot, provisioning, clock, log.

May import: what ``driver`` may. Must not: know the hypervisor, or the daemon's calls.
"""
