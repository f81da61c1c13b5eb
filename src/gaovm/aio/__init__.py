"""The few primitives under all asyncio code: owners of tasks and processes, files, sockets.

Other code starts tasks and processes and reads clocks only through this package. So everything
that starts has an owner that ends it, however often the owner is cancelled. The package is generic:
it knows nothing of virtual machines.

May import: ``errors``. Must not: import any other package of GaoVM.
"""
