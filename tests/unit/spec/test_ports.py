"""Which forwarded ports conflict, and how the table of fields names a difference."""

from __future__ import annotations

import pytest

from gaovm.spec import diff, vm
from gaovm.spec.disks import Image
from gaovm.spec.guest import Guest, User
from gaovm.spec.ports import PortForward

V4, ALL_V4, V6 = "127.0.0.1", "0.0.0.0", "::1"
USER = User(name="u", uid=1000, gid=1000, home="/home/u")


@pytest.mark.parametrize(
    ("ours", "theirs", "clash"),
    [
        ((V4, 80), (V4, 80), True),
        ((V4, 80), (V4, 81), False),
        ((V4, 0), (V4, 0), False),  # any free ports: each rule gets a different one
        ((V4, 80), ("127.0.0.2", 80), False),
        ((V4, 80), (ALL_V4, 80), True),
        ((ALL_V4, 80), (V4, 80), True),
        ((V6, 80), (V4, 80), False),
        ((V6, 80), ("::", 80), True),
    ],
)
def test_clashes(ours: tuple[str, int], theirs: tuple[str, int], clash: bool) -> None:
    one, two = (
        PortForward(guest_port=1, host_ip=address, host_port=port)
        for address, port in (ours, theirs)
    )
    assert one.clashes(two) is clash


def test_a_key_of_the_table_finds_its_field_and_the_fields_below() -> None:
    env = diff.of_words(["env"])["env"]
    before = vm.VmSpec(name="a", image=Image(location="x"), guest=Guest(user=USER, hostname="a"))
    after = diff.with_values(before, {env.path: {"A": "1"}})
    [found] = diff.differences(before, after)
    assert env.names(found)
    assert not diff.of_words(["cpus"])["cpus"].names(found)
    with pytest.raises(KeyError):
        diff.of_words(["colour"])
