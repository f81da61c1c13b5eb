"""Settings of these tests."""

from __future__ import annotations

import asyncio

# Python 3.11 otherwise makes a loop when pytest-asyncio asks for "the old one", and nobody closes it
asyncio.set_event_loop(None)
