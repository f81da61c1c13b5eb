"""The control plane: stores what users want of every VM, and does the work that makes it so.

``main`` is the program, ``process`` the running daemon and its parts, ``server`` its socket. What
clients may call is in ``dispatch``, one object per VM in ``vms``, how VMs start and stop in
``lifecycle``, their config in ``config``, their drivers in ``drivers``, what survives in
``storage``, the change to newer code in ``upgrading``, and old clients in ``legacy``.

May import: images, hostfacts, project, ipc, aio, model, spec, errors.
Must not: import driver, vmmanager, guestmanager or builder; it only speaks to drivers.
"""
