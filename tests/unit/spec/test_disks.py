"""Names of disks, and what the host opens to a guest."""

from __future__ import annotations

import pytest

from gaovm.spec import disks
from gaovm.spec.network import Network


def test_a_disk_is_mounted_where_lima_mounts_it() -> None:
    assert disks.AdditionalDisk(name="data").mount_point == "/mnt/lima-data"


@pytest.mark.parametrize(
    ("name", "good"),
    [("data", True), ("a.b-c", True), ("", False), ("../x", False), ("a/b", False)],
)
def test_names_of_disks(name: str, good: bool) -> None:
    assert disks.is_disk_name(name) is good


def test_a_serial_number_fits_virtio() -> None:
    assert len(disks.serial("data")) == 20
    assert disks.serial("data") != disks.serial("date")


def test_what_of_the_host_is_open() -> None:
    assert not Network().opens_host
    assert Network(host_ports=(5432,)).opens_host
    assert Network(host_access=True).opens_host
