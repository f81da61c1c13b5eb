"""The wire between GaoVM's processes: frames, JSON-RPC, hello; asyncio and blocking shells.

``frames jsonrpc hello peer methods`` are pure (no I/O, no clock) and light, because hot commands
load them. ``connection`` is the shell for asyncio, ``blocking`` the one without an event loop.
``docs/reference/control-protocol.md`` describes the rules of the wire.

May import: ``errors``, ``aio`` (``connection`` only). Must not: know what a method means.
"""
