"""The host side of a VM: thin calls to a hypervisor and its tools, one package per hypervisor.

Each function makes one request and translates its failure into our error tree. The driver decides
the order of steps.

May import: ``errors``, ``spec``, ``model``, ``wire``, ``builder``, ``hostfacts``, ``aio``. Must
not: know the guest's agent, a driver, a daemon.
"""
