"""``ssh`` in the project file."""

from __future__ import annotations

import pytest
from tests.unit.project.reading import IMAGE, load, with_image

from gaovm.spec.ssh import Ssh


def test_without_a_word_in_the_file_ssh_may_do_nothing_more() -> None:
    assert load(IMAGE).spec.ssh == Ssh()
    assert Ssh() == Ssh(load_public_keys=False, forward_agent=False, forward_x11=False)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{loadDotSSHPubKeys: true}", Ssh(load_public_keys=True)),
        ("{forwardAgent: true}", Ssh(forward_agent=True)),
        ("{forwardX11: true}", Ssh(forward_x11=True)),
        (
            "{forwardX11: true, forwardX11Trusted: true}",
            Ssh(forward_x11=True, forward_x11_trusted=True),
        ),
        ("{localPort: 0, overVsock: false}", Ssh()),
    ],
)
def test_fields_that_are_honoured(text: str, wanted: Ssh) -> None:
    loaded = load(with_image(f"ssh: {text}"))
    assert loaded.spec.ssh == wanted
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("text", "field", "why"),
    [
        ("{localPort: 60022}", "ssh.localPort", "no port of the host leads to an sshd"),
        ("{forwardX11Trusted: true}", "ssh.forwardX11Trusted", "without ssh.forwardX11"),
        ("{overVsock: true}", "ssh.overVsock", "through the guest channel"),
    ],
)
def test_a_field_without_effect_is_named_with_the_reason(text: str, field: str, why: str) -> None:
    loaded = load(with_image(f"ssh: {text}"))
    (warning,) = loaded.warnings
    assert warning.split(": ")[1] == field
    assert why in warning
    assert loaded.spec.ssh == Ssh()
