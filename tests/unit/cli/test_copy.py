from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from gaovm import errors
from gaovm.cli import progress
from gaovm.cli.commands import copy


def test_places() -> None:
    for word, vm, path in (
        ("a.txt", None, "a.txt"),
        ("./a:b", None, "./a:b"),
        ("/x/a:b", None, "/x/a:b"),
        (":x", None, ":x"),
        ("vm:/tmp/x", "", "/tmp/x"),
        ("vm:", "", "."),
        ("web-dev:a:b", "web-dev", "a:b"),
    ):
        place = copy.Place(word)
        assert (place.vm, place.path) == (vm, path), word


def test_a_plan_has_a_side_in_a_vm() -> None:
    sources, destination = copy.plan(["a", "b", "vm:/tmp/"])
    assert [s.path for s in sources] == ["a", "b"] and destination.vm == ""
    sources, destination = copy.plan(["x:a", "b", "y:c"])
    assert ([s.vm for s in sources], destination.vm) == (["x", None], "y")
    for words in (["a", "b"], ["vm:a", "b", "c"], ["", "vm:"]):
        with pytest.raises(errors.UsageError):
            copy.plan(words)


def test_a_long_copy_shows_progress() -> None:
    now, shown = [0.0], []

    class Show(progress.Progress):
        def update(self, params: Mapping[str, Any]) -> None:
            shown.append(progress.describe(params))

    meter = copy.Meter(Show(), "big", lambda: now[0])
    for tenth in range(1, 15):
        now[0] = tenth / 10
        meter.add(1 << 20)
    assert shown == [
        "copy       big  10.0 MiB  10.0 MiB/s",
        "copy       big  12.0 MiB  10.0 MiB/s",
        "copy       big  14.0 MiB  10.0 MiB/s",
    ]
