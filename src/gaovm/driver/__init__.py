"""The process of one VM: it owns the VM's hypervisor, guest channel and forwarded ports.

``spawn.zygote`` forks it, ``main`` runs it, ``service`` answers the daemon, ``vm`` is the
lifecycle, ``guest`` is what happens inside; each other file owns one thing. Nothing outlives the
driver: children get a parent-death signal, and the driver leaves by itself when the daemon is gone
or silent.

May import: everything below it. Must not: store desired state, import the daemon, client or images.
"""
