"""The control plane: what is wanted of every VM, and the work that makes it so.

``main`` (process), ``server`` (socket), ``service`` and ``methods`` (what clients may call),
``registry`` and ``machine`` (one object per VM), ``starting`` and ``ending`` (operations),
``link`` and ``zygote`` (drivers), ``store`` (what survives), ``legacy`` (old clients).

May import: images, hostfacts, project, ipc, aio, model, spec, errors.
Must not: import driver, vmmanager, guestmanager or builder; it only speaks to drivers.
"""
