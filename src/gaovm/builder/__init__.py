"""Turn a VM spec and host facts into the document that starts a hypervisor. Pure functions.

Host facts come in as ``model.facts``. This package holds what every back end needs: ``choices`` and
``shares`` decide what the spec leaves open, ``document`` defines the common part of documents, and
``network`` the guest's addresses. ``backends`` is the one table of back ends. Each back end builds
its document in a package of its own, such as ``qemu``; only the table names these packages.

May import: ``errors``, ``spec``, ``model``, msgspec, json. Must not: look at the host (no I/O, no
clock, no environment), import ``hostfacts``, know how a process is started.
"""
