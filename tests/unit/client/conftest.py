"""Settings of these tests."""

from __future__ import annotations

import asyncio

# else Python 3.11 makes a loop when pytest-asyncio asks for the old one, and nobody closes it
asyncio.set_event_loop(None)
