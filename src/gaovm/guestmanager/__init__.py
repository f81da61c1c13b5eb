"""Inside the guest, through its agent: the channel, HTTP/2 on it, and one thin file per noun.

Every call takes the connection it goes over and keeps no state. The guest is not trusted: what it
sends is bounded and validated here, and can only fail its own VM.

May import: ``errors``, ``spec``, ``aio``, msgspec, h2. Must not: know a hypervisor, a driver or a
daemon; decide anything.
"""
