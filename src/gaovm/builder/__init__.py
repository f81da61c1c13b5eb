"""From a VM spec and host facts to what a hypervisor is started with. Pure functions.

Host facts come in as ``model.facts``. What every back end needs stands here: ``choices`` and
``shares`` decide what the spec left open, ``document`` is what every document has, ``network`` the
guest's addresses. ``backends`` is the one table of back ends; each builds its document in a package
of its own, such as ``qemu``, which only that table names.

May import: ``errors``, ``spec``, ``model``, msgspec, json. Must not: look at the host (no I/O, no
clock, no environment), import ``hostfacts``, know how a process is started.
"""
