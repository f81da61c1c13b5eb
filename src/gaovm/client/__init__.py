"""Clients of the daemon: what front ends and other programs use.

``blocking``, ``session`` and ``exec_loop`` are on the path of commands that must start fast and
load neither asyncio nor msgspec; ``async_client`` is for programs with an event loop.

May import: ``ipc``, ``wire``, ``aio`` (``async_client`` only), ``errors``. Must not: import the
daemon or a driver; decide anything that the daemon decides.
"""
