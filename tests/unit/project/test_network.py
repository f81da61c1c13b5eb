"""Host access and port rules in the project file; a rule that we cannot follow opens nothing."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.project.reading import IMAGE, load, problem, problems, with_image

from gaovm.project import overrides
from gaovm.spec.ports import PortForward


def own(text: str) -> str:
    return with_image(f"vmOpts: {{gaovm: {{hostAccess: {text}}}}}")


def test_the_host_is_closed_unless_the_file_opens_it() -> None:
    assert load(IMAGE).spec.network.host_access is False
    assert load(own("false")).spec.network.host_access is False
    loaded = load(own("true"))
    assert loaded.spec.network.host_access is True
    assert loaded.warnings == ()


@pytest.mark.parametrize("text", ["yes", "1", "'true'", "{a: 1}", "5432"])
def test_other_values_are_a_problem(text: str) -> None:
    assert "vmOpts.gaovm.hostAccess: expected true or false, found" in problem(own(text))


def test_single_ports_are_refused_by_name() -> None:
    message = problem(own("[5432]"))
    assert "vmOpts.gaovm.hostAccess: single ports cannot be opened yet" in message
    bad = problems(own("[1, 0, http]"))
    assert "hostAccess[1]: expected a port from 1 to 65535, found `0`" in bad[0]
    assert "hostAccess[2]: expected a port from 1 to 65535, found `http`" in bad[1]


def test_host_access_can_be_opened() -> None:
    base = load(IMAGE).spec
    assert overrides.apply(base, {"hostAccess": True}).network.host_access is True
    assert overrides.apply(base, {"hostAccess": "true"}).network.host_access is True


def forwards(rules: str) -> list[tuple[str, int, str, int]]:
    loaded = load(with_image(f"portForwards: [{rules}]"))
    return [
        (forward.guest_ip, forward.guest_port, forward.host_ip, forward.host_port)
        for forward in loaded.spec.network.ports
    ]


LOCAL = ("127.0.0.1", 80, "127.0.0.1", 8080)


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ("{guestPort: 80, ignore: true}, {guestPort: 80, hostPort: 8080}", []),
        ("{ignore: true}, {guestPort: 80, hostPort: 8080}", []),
        ("{guestPortRange: [1, 99], ignore: true}, {guestPort: 80, hostPort: 8080}", []),
        ("{guestPortRange: [1, 79], ignore: true}, {guestPort: 80, hostPort: 8080}", [LOCAL]),
        ("{guestPort: 80, hostPort: 8080}, {guestPort: 80, ignore: true}", [LOCAL]),
        ("{guestPort: 80, hostPort: 8080}, {guestPort: 80, hostPort: 8081}", [LOCAL]),
        ("{guestPort: 80, proto: udp, ignore: true}, {guestPort: 80, hostPort: 8080}", [LOCAL]),
        ("{guestPort: 80, ignore: false, hostPort: 8080}", [LOCAL]),
        # a rule that we cannot follow still decides about its ports
        ("{guestPortRange: [80, 90]}, {guestPort: 80, hostPort: 8080, hostIP: 0.0.0.0}", []),
        # an ignore rule does not affect servers at other addresses
        (
            "{guestIP: 10.0.2.15, guestPort: 80, ignore: true}, {guestPort: 80, hostPort: 8080}",
            [LOCAL],
        ),
        ("{guestIP: 0.0.0.0, guestPort: 80, ignore: true}, {guestPort: 80, hostPort: 8080}", []),
    ],
)
def test_the_first_matching_rule_counts(rules: str, kept: list[Any]) -> None:
    assert forwards(rules) == kept


def test_an_overruled_rule_is_a_warning() -> None:
    text = "portForwards: [{guestPort: 80, ignore: true}, {guestPort: 80, hostPort: 8080}]"
    (warning,) = load(with_image(text)).warnings
    assert "portForwards[1]: portForwards[0] ignores guest port 80" in warning


@pytest.mark.parametrize(
    ("rule", "dialled"),
    [
        ("guestPort: 80", "127.0.0.1"),
        ("guestPort: 80, guestIPMustBeZero: false", "127.0.0.1"),
        # a server on loopback alone does not listen on 127.0.0.2
        ("guestPort: 80, guestIPMustBeZero: true, hostIP: 0.0.0.0", "127.0.0.2"),
        ("guestPort: 80, guestIP: 0.0.0.0", "127.0.0.2"),
        ("guestPort: 80, guestIP: 0.0.0.0, guestIPMustBeZero: false", "127.0.0.1"),
        ("guestPort: 80, guestIP: '::'", "::1"),
        ("guestPort: 80, guestIP: 10.0.2.15", "10.0.2.15"),
    ],
)
def test_must_be_zero_reaches_no_server_on_loopback_alone(rule: str, dialled: str) -> None:
    ((guest_ip, *_),) = forwards(f"{{{rule}}}")
    assert guest_ip == dialled


def test_must_be_zero_contradicts_an_address() -> None:
    text = "portForwards: [{guestPort: 1, guestIP: 127.0.0.1, guestIPMustBeZero: true}]"
    what = "guestIPMustBeZero: can only be true when field `portForwards[0].guestIP` is 0.0.0.0"
    assert what in problem(with_image(text))
    bad = "portForwards: [{guestPortRange: [9, 1], ignore: true}]"
    what = "guestPortRange[1]: must be greater than or equal to field `portForwards[0].guestPort"
    assert what in problems(with_image(bad))[0]


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ("127.0.0.1", "0.0.0.0", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("0.0.0.0", "0.0.0.0", True),
        ("::", "::1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("0.0.0.0", "::", False),  # the host binds only IPv6
    ],
)
def test_each_host_port_is_given_once(first: str, second: str, clash: bool) -> None:
    rules = (
        f"portForwards: [{{guestPort: 1, hostPort: 8080, hostIP: '{first}'}}, "
        f"{{guestPort: 2, hostPort: 8080, hostIP: '{second}'}}]"
    )
    found = problems(with_image(rules))
    assert len(found) == clash
    assert all("host port 8080 is forwarded twice, first by portForwards[0]" in p for p in found)


def test_any_free_port_clashes_with_nothing() -> None:
    free = PortForward(guest_port=1, host_port=0)
    assert not free.clashes(free)
