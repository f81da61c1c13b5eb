"""Print what happens to the VMs, one event a line, and go on where the last run stopped.

    python follow_events.py FILE [COUNT]

FILE holds the number of the last event that was printed. The daemon keeps events on disk, so none
is lost between two runs. With COUNT the program ends after that many events.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from gaovm.client import async_client


async def main(file: Path, count: int | None) -> None:
    """Follow the events after the number in ``file``; from the beginning if there is none."""
    since = int(file.read_text()) if file.exists() else 0
    counter = itertools.count(1)
    async with await async_client.connect() as client:
        with await client.subscribe(since) as feed:
            async for event in feed:
                print(event.seq, event.ts, event.vm or "-", event.type, flush=True)
                file.write_text(str(feed.last))
                if next(counter) == count:
                    return


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: follow_events.py FILE [COUNT]")
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else None))
