"""The wire between GaoVM's processes: frames, JSON-RPC, hello; asyncio and blocking shells.

``frames jsonrpc hello peer methods`` are pure (no I/O, no clock) and light, as hot commands load
them; ``connection`` is the asyncio shell, ``blocking`` the other one. The rules of the wire are
in ``docs/reference/control-protocol.md``.

May import: ``errors``, ``aio`` (``connection`` only). Must not: know what a method means.
"""
