"""The control plane: stores what users want of every VM, and does the work that makes it so.

``main`` is the process, ``server`` its socket, ``dispatch`` the way from a client's call to a
method. ``vms`` holds one object per VM, ``lifecycle`` starts and stops it, ``config`` changes it,
``drivers`` links to its process. ``storage`` is what survives; ``upgrading`` hands over to new
code; ``legacy`` serves old clients.

May import: images, hostfacts, project, ipc, aio, model, spec, errors.
Must not: import driver, vmmanager, guestmanager or builder; it only speaks to drivers.
"""
