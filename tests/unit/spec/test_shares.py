"""Which of the host's directories cannot be mounted."""

from __future__ import annotations

import pytest

from gaovm import errors
from gaovm.spec import shares


@pytest.mark.parametrize(
    ("real", "refused"),
    [
        ("/home/ann/.gaovm", True),
        ("/home/ann/.gaovm/vms", True),
        ("/home/ann/.gaovm2", False),
        ("/home/ann", False),
        ("/", False),
    ],
)
@pytest.mark.parametrize("home", ["/home/ann/.gaovm", "/home/ann/.gaovm/"])
def test_gaovms_own_directory_is_no_mount(real: str, refused: bool, home: str) -> None:
    share = shares.Share(location="/link", mount_point="/m", field="mounts[1].location")
    error = shares.refusal(share, shares.Place(real, True), "/g", home, "mount")
    assert (type(error) is errors.MountRefused) == refused
    if error is not None:
        assert error.field == "mounts[1].location"
        assert error.message.startswith("mount /link lies in GaoVM's own directory /g")


def test_a_mount_has_to_be_a_directory() -> None:
    share = shares.Share(location="/a", mount_point="/m")
    error = shares.refusal(share, shares.Place("/a", False), "/g", "/g", "c.yaml:2:")
    assert isinstance(error, errors.MountMissing)
    assert (error.message, error.field) == ("c.yaml:2: /a is no directory on this host", "mounts")
