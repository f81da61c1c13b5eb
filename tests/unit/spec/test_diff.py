"""Differences between specs, and the table that says when each one takes effect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from gaovm.spec import diff
from gaovm.spec.disks import Disk, Image
from gaovm.spec.guest import Guest, User
from gaovm.spec.network import Network
from gaovm.spec.ports import PortForward
from gaovm.spec.processors import Processors
from gaovm.spec.shares import Share
from gaovm.spec.supervision import Restart, Supervision
from gaovm.spec.vm import VmSpec

USER = User(name="u", uid=1000, gid=1000, home="/home/u")


def spec(**changes: Any) -> VmSpec:
    made = VmSpec(name="a", image=Image(location="debian:12"), guest=Guest(user=USER, hostname="a"))
    return msgspec.structs.replace(made, **changes)


def leaves(kind: Any, path: str = "") -> Iterator[str]:
    """Return every field of the spec that is not a struct itself."""
    for field in msgspec.structs.fields(kind):
        below = f"{path}.{field.name}" if path else field.name
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from leaves(field.type, below)
        else:
            yield below


@pytest.mark.parametrize("leaf", list(leaves(VmSpec)))
def test_every_field_is_in_exactly_one_row(leaf: str) -> None:
    rows = [f for f in diff.FIELDS if leaf == f.path or leaf.startswith(f.path + ".")]
    assert len(rows) == 1, f"{leaf} is in {len(rows)} rows of spec.diff.FIELDS"


def test_every_row_is_a_field_with_its_own_key() -> None:
    for row in diff.FIELDS:
        diff.value(spec(), row.path)
    assert len({row.word for row in diff.FIELDS}) == len(diff.FIELDS)


def test_changes_that_restart_in_the_old_contract_still_restart() -> None:
    restart = {row.path for row in diff.FIELDS if row.when is diff.When.START}
    assert restart >= {
        "processors.count",
        "memory.size_bytes",
        "boot.kernel",
        "boot.extra_arguments",
        "image",
        "network.mode",
        "graphics.enabled",
        "graphics.width",
        "graphics.height",
    }
    assert "disk.size_bytes" not in restart


def test_equal_specs_do_not_differ() -> None:
    assert diff.differences(spec(), spec()) == []


def test_a_difference_has_both_values_and_when_it_takes_effect() -> None:
    before = spec()
    after = spec(
        processors=Processors(count=4),
        disk=Disk(size_bytes=1 << 35),
        supervision=Supervision(restart=Restart(policy="always")),
    )
    found = msgspec.to_builtins(diff.differences(before, after))
    assert found == [
        {"field": "cpus", "from": 2, "to": 4, "restart": True, "live": False},
        {"field": "disk", "from": 20 << 30, "to": 1 << 35, "restart": False, "live": True},
        {
            "field": "restart.policy",
            "from": "on-failure",
            "to": "always",
            "restart": False,
            "live": True,
        },
    ]


def test_each_variable_is_a_difference() -> None:
    def guest(**env: str) -> Guest:
        return Guest(user=USER, hostname="a", env=env)

    found = diff.differences(spec(guest=guest(A="1", B="2")), spec(guest=guest(B="3", C="4")))
    assert [(d.field, d.before, d.after) for d in found] == [
        ("env.A", "1", None),
        ("env.B", "2", "3"),
        ("env.C", None, "4"),
    ]


def test_a_moved_entry_of_the_file_is_no_difference() -> None:
    def made(number: int) -> VmSpec:
        forward = PortForward(guest_port=80, field=f"portForwards[{number}]")
        share = Share(location="/a", mount_point="/a", field=f"mounts[{number}].location")
        return spec(network=Network(ports=(forward,)), shares=(share,))

    assert diff.differences(made(0), made(1)) == []


def test_take_applies_only_the_chosen_differences() -> None:
    after = spec(processors=Processors(count=4), disk=Disk(size_bytes=1 << 35))
    taken = diff.take(spec(), after, lambda field: field.when is diff.When.DRIVER)
    assert taken == spec(disk=after.disk)
    assert diff.take(spec(), after, lambda field: True) == after
