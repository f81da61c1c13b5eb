from __future__ import annotations

import pytest

from gaovm import errors
from gaovm.cli import copy


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


def test_a_plan_has_one_side_in_a_vm() -> None:
    sources, destination = copy.plan(["a", "b", "vm:/tmp/"])
    assert [s.path for s in sources] == ["a", "b"] and destination.vm == ""
    for words in (["a", "b"], ["vm:a", "web:b"], ["vm:a", "b", "c"], ["x:a", "y:b", "c"]):
        with pytest.raises(errors.UsageError):
            copy.plan(words)
