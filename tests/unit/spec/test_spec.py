"""A spec survives JSON, and refuses values that are out of bounds."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.unit.builder import samples

from gaovm.spec import vm


def data(**changes: Any) -> dict[str, Any]:
    plain: Any = json.loads(json.dumps(vm.to_builtins(samples.spec(samples.ODD_9P))))
    return {**plain, **changes}


@pytest.mark.parametrize("name", sorted(samples.CASES))
def test_round_trip(name: str) -> None:
    spec = samples.CASES[name][0]
    assert msgspec.convert(json.loads(json.dumps(vm.to_builtins(spec))), vm.VmSpec) == spec


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"processors": {"count": 0}},
        {"memory": {"size_bytes": 1}},
        {"memory": {"size_bytes": "2GiB"}},
        {"boot": {"machine": "pc"}},
        {"network": {"forwards": [{"guest_port": 70000}]}},
        {"shares": [{"location": "/a"}]},
    ],
)
def test_out_of_bounds(changes: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(data(**changes), vm.VmSpec)


def test_tags_fit_9p_and_differ() -> None:
    tags = {share.tag for share in (samples.PROJECT, samples.ODD_9P)}
    assert len(tags) == 2
    assert all(len(tag.encode()) <= 31 for tag in tags)
