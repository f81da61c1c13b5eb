"""The few primitives under all asyncio code: owners of tasks and processes, files, sockets.

What spawns tasks or processes, or reads a clock, does so through here, so that everything that is
begun has an owner that ends it, however often it is cancelled. The package is generic: it knows
nothing of virtual machines.

May import: ``errors``. Must not: import any other package of GaoVM.
"""
