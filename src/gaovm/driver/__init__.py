"""The process of one VM: owns its hypervisor, the guest channel and the forwarded ports.

``spawn.zygote`` forks it, ``main`` runs it, ``service`` answers the daemon, ``vm`` is the
lifecycle, ``guest`` is what happens inside; the other files own one thing each. Nothing outlives
the driver: children get a parent-death signal, and it leaves by itself when the daemon is gone or
silent.

May import: everything below it. Must not: store desired state, import the daemon, client or images.
"""
