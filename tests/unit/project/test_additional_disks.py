"""``additionalDisks``: names and mappings, and what is refused with its line."""

from __future__ import annotations

import pytest
from tests.unit.project.reading import IMAGE, load, problem, with_image

from gaovm.spec import disks
from gaovm.spec.disks import AdditionalDisk


def read(text: str) -> tuple[AdditionalDisk, ...]:
    loaded = load(with_image(f"additionalDisks: {text}"))
    assert loaded.warnings == ()
    return loaded.spec.additional_disks


def test_without_the_field_there_are_none() -> None:
    assert load(IMAGE).spec.additional_disks == ()


def test_a_name_alone_and_a_mapping_mean_the_same() -> None:
    (disk,) = read("[data]")
    assert (disk,) == read("[{name: data}]") == read("[{name: data, format: true, fsType: ''}]")
    assert disk == AdditionalDisk(name="data", format=True, fs_type="ext4", fs_args=())
    assert disk.mount_point == "/mnt/lima-data"


def test_every_field_is_read() -> None:
    text = "[{name: a.b, format: false, fsType: xfs, fsArgs: [-i, size=512]}, 7]"
    first, second = read(text)
    assert first == AdditionalDisk(
        name="a.b", format=False, fs_type="xfs", fs_args=("-i", "size=512")
    )
    assert second.name == "7"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[../x]", "additionalDisks[0].name: is invalid"),
        ("[{name: a/b}]", "additionalDisks[0].name: is invalid"),
        ("[data, {name: data}]", "additionalDisks[1]: disk data is there twice"),
        ("[{name: a, fsType: 'ext4 -F'}]", "additionalDisks[0].fsType: expected the name"),
        ("[{name: a, fsType: ../sh}]", "additionalDisks[0].fsType: expected the name"),
        ('[{name: a, fsArgs: ["a\\nb"]}]', "additionalDisks[0].fsArgs[0]: expected one line"),
        (f"[{{name: a, fsArgs: [{'x, ' * 33}]}}]", "fsArgs: at most 32 arguments"),
        ("[a, b, c, d, e, f, g, h, i]", "at most 8 additional disks are possible, found 9"),
    ],
)
def test_what_cannot_be_is_refused(text: str, message: str) -> None:
    assert message in problem(with_image(f"additionalDisks: {text}"))


def test_serial_numbers_fit_virtio_and_differ() -> None:
    found = {disks.serial(name) for name in ("a", "b", "x" * 76)}
    assert len(found) == 3
    assert {len(serial) for serial in found} == {20}
