"""``gaovm events``: what it asks for and prints, and that it goes on after the daemon ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.process.cli import conftest, fakes

import gaovm as package
from gaovm import errors

SOURCE = Path(package.__file__).parent


class Log:
    """A fake daemon's events; each subscriber gets ``sent`` after its answer."""

    def __init__(self, daemon: fakes.FakeDaemon, *numbers: int, oldest: int = 1) -> None:
        self.numbers = list(numbers)
        self.oldest = oldest
        self.lagged_after: int | None = None
        daemon.handlers["events.subscribe"] = self.subscribe

    def subscribe(self, params: dict[str, Any], call: fakes.Call) -> Any:
        last, since = self.numbers[-1], params.get("since", self.numbers[-1])
        if since > last:
            raise errors.InvalidParams(f"the log of events ends at {last}", field="since")
        for number in self.numbers:
            if number > max(since, self.oldest - 1):
                self.send(call, "event", event(number))
                if number == self.lagged_after:
                    self.lagged_after = None
                    wire = errors.to_wire(errors.TooSlow("slow", details={"seq": number}))
                    self.send(call, "event.lagged", {"seq": number, "error": wire})
                    break
        return {"ok": True, "seq": last, "oldest": self.oldest}

    @staticmethod
    def send(call: fakes.Call, method: str, params: dict[str, Any]) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        call._connection.send(message)


def event(number: int) -> dict[str, Any]:
    kind = "driver.exited" if number % 2 else "vm.state"
    payload = {"pid": number, "reason": "a \x1b[31mb", "none": None}
    name = "web" if number % 3 else None
    return {"seq": number, "type": kind, "vm": name, "payload": payload, "ts": "2026-01-01"}


def test_what_is_stored_is_printed(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    Log(daemon, 1, 2, 3)
    lines = gaovm("events").stdout.decode().splitlines()
    assert daemon.params("events.subscribe") == {"since": 0}
    assert lines[0].split() == [
        "2026-01-01", "1", "web", "driver.exited", "pid=1", 'reason="a', '\\u001b[31mb"',
    ]  # fmt: skip
    assert [line.split()[2] for line in lines] == ["web", "web", "-"]
    found = [
        json.loads(line)
        for line in gaovm("events", "--json", "--since", "1").stdout.split(b"\n")[:-1]
    ]
    assert found == [event(2), event(3)]


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (("--vm", "web"), [1, 2, 4, 5]),
        (("--type", "driver"), [1, 3, 5]),
        (("--type", "driver.exit"), []),
        (("--type", "vm.state", "--type", "driver.exited"), [1, 2, 3, 4, 5, 6]),
        (("--type", "vm.state", "--vm", "web"), [2, 4]),
    ],
)
def test_filters(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, words: tuple[str, ...], numbers: list[int]
) -> None:
    Log(daemon, 1, 2, 3, 4, 5, 6)
    lines = gaovm("events", "--json", *words).stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == numbers


def test_a_type_that_there_is_not_is_usage(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    done = gaovm("events", "--type", "drivr")
    assert (done.returncode, daemon.calls) == (2, [])
    assert b"one of the groups daemon, display, drift" in done.stderr


def test_what_is_not_kept_is_said(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    Log(daemon, 8, 9, oldest=8)
    done = gaovm("events", "--since", "3")
    assert b"events 4 to 7 are not kept" in done.stderr
    assert len(done.stdout.splitlines()) == 2
    assert gaovm("events").stderr == b""
    Log(daemon, 9, oldest=10)  # no event is left
    assert gaovm("events").stdout == b""
    assert gaovm("events", "--since", "99").returncode == 2


def _lines(process: subprocess.Popen[bytes], count: int) -> list[int]:
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(count)]
    return [json.loads(line)["seq"] for line in lines]


def test_following_goes_on_after_a_cut_and_after_a_restart(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon
) -> None:
    log = Log(daemon, 1, 2, 3, 4)
    log.lagged_after = 2
    process = gaovm.popen("events", "-f", "--json", "--since", "0")
    try:
        assert _lines(process, 4) == [1, 2, 3, 4]
        asked = [params["since"] for method, params in daemon.calls if "since" in params]
        assert asked == [0, 2]
        daemon.end()
        assert process.stderr is not None
        assert b"waiting for the daemon" in process.stderr.readline()
        (gaovm.home / "gaovmd.sock").unlink()
        again = fakes.FakeDaemon(gaovm.home, "x")
        Log(again, 4, 5, 6)
        os.rename(gaovm.home / "x", gaovm.home / "gaovmd.sock")  # as the daemon does
        assert _lines(process, 2) == [5, 6]
        assert again.params("events.subscribe") == {"since": 4}
        again.close()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 130
