"""The log of events over a real socket, before and after the daemon's death."""

from __future__ import annotations

import signal
from typing import Any

from tests.process.daemon import conftest

from gaovm.client import async_client, blocking
from gaovm.wire.control import status as result
from gaovm.wire.control import table, vms


def _events(client: conftest.Client, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        message = client.receive()
        if message.get("method") == "event":
            found.append(message["params"])
    return found


def test_numbers_go_on_after_a_kill(daemons: conftest.Daemons) -> None:
    first = daemons.start()
    client = daemons.client()
    client.request("events.subscribe", {"since": 0})
    (started,) = _events(client, 1)
    assert (started["seq"], started["type"]) == (1, "daemon.started")
    assert started["payload"]["pid"] == first.pid
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = daemons.start()
    client = daemons.client()
    client.request("events.subscribe", {"since": 1})
    (again,) = _events(client, 1)
    assert (again["seq"], again["payload"]["pid"]) == (2, second.pid)
    assert client.call("events.subscribe", {"since": 3})["message"].startswith("the log of events")
    assert client.call("events.subscribe", {"since": 2}) == {"ok": True, "seq": 2, "oldest": 1}


async def test_both_clients_have_an_iterator(daemons: conftest.Daemons) -> None:
    process = daemons.start()
    with blocking.connect(daemons.home, start=False) as client:
        assert next(iter(client.events(0)))["type"] == "daemon.started"
    with blocking.connect(daemons.home, start=False) as client:
        stream = client.events(0)
        assert next(iter(stream))["seq"] == 1
        assert (stream.seq, stream.oldest, stream.last) == (1, 1, 1)
    async with await async_client.connect(daemons.home, start=False) as other:
        with await other.subscribe(since=0) as one, await other.subscribe(since=0) as two:
            assert (await anext(one)).seq == (await anext(two)).seq == 1
            assert one.last == 1
        status = await other.call(table.DAEMON_STATUS)
        assert (status.pid, status.vms.total) == (process.pid, 0)
        adopted = await other.call(table.VM_ADOPT, vms.Adopt(project_dir="/"))
        assert adopted == result.Lost(lost=())
        await other.aclose()
        assert [event async for event in one] == []
