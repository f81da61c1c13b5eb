"""From a VM spec and host facts to what a hypervisor is started with. Pure functions.

Host facts come in as ``model.facts``; ``choices`` decides what the spec left open (machine,
accelerator, kind of share); ``qemu`` makes the command line, one file per noun.

May import: ``errors``, ``spec``, ``model``, msgspec, json. Must not: look at the host (no I/O, no
clock, no environment), import ``hostfacts``, know how a process is started.
"""
