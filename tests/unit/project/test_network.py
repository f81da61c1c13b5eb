"""Host access and port rules in the project file; a rule that we cannot follow opens nothing."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.project.reading import IMAGE, load, problem, problems, with_image

from gaovm.project import overrides
from gaovm.spec import portrules
from gaovm.spec.portrules import Listening
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
    assert "vmOpts.gaovm.hostAccess: expected true, false or a list of ports, found" in problem(
        own(text)
    )


def test_single_ports_are_opened_alone() -> None:
    network = load(own("[5432, 80, 5432]")).spec.network
    assert (network.host_access, network.host_ports) == (False, (5432, 80))
    bad = problems(own("[1, 0, http]"))
    assert "hostAccess[1]: expected a port from 1 to 65535, found `0`" in bad[0]
    assert "hostAccess[2]: expected a port from 1 to 65535, found `http`" in bad[1]
    many = ", ".join(str(port) for port in range(1, 70))
    assert "more than 64 ports" in problem(own(f"[{many}]"))


def test_host_access_can_be_opened() -> None:
    base = load(IMAGE).spec
    assert overrides.apply(base, {"hostAccess": True}).network.host_access is True
    assert overrides.apply(base, {"hostAccess": "true"}).network.host_access is True


def static(rules: str) -> list[tuple[str, int, str, int]]:
    """Return the forwards of rules that are all static."""
    return [
        (forward.guest_ip, forward.guest_port, forward.host_ip, forward.host_port)
        for forward in load(with_image(f"portForwards: [{rules}]")).spec.network.ports
        if forward.proto == "tcp"
    ]


def followed(rules: str, *listeners: Listening) -> list[tuple[str, int, str, int]]:
    """Return the forwards that a file has when these sockets listen in the guest."""
    network = load(with_image(f"portForwards: [{rules}]")).spec.network
    assert network.ports == ()
    return [
        (found.dial, found.guest_port, found.target.ip, found.target.port)
        for found in portrules.follow(network.rules, listeners)
    ]


WEB = Listening("tcp", "127.0.0.1", 80)
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
        # an ignore rule does not affect servers at other addresses
        (
            "{guestIP: 10.0.2.15, guestPort: 80, ignore: true}, {guestPort: 80, hostPort: 8080}",
            [LOCAL],
        ),
    ],
)
def test_the_first_matching_rule_counts(rules: str, kept: list[Any]) -> None:
    assert followed(rules, WEB) == kept
    assert static(rules.replace("hostPort", "static: true, hostPort")) == kept


def test_a_rule_of_a_range_takes_its_ports_from_later_ones() -> None:
    rules = "{guestPortRange: [80, 90]}, {guestPort: 80, hostPort: 8080, hostIP: 0.0.0.0}"
    assert followed(rules, WEB) == [("127.0.0.1", 80, "127.0.0.1", 80)]
    later = rules.replace("hostIP", "static: true, hostIP")
    assert load(with_image(f"portForwards: [{later}]")).spec.network.ports == ()


def test_an_overruled_static_rule_is_a_warning() -> None:
    text = (
        "portForwards: [{guestPort: 80, ignore: true}, "
        "{guestPort: 80, hostPort: 8080, static: true, proto: tcp}]"
    )
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
    ((guest_ip, *_),) = static(f"{{{rule}, static: true}}")
    assert guest_ip == dialled


@pytest.mark.parametrize("last", ["ignore: true", "ignore: true, guestIP: 0.0.0.0"])
def test_a_last_rule_that_ignores_all_ports_leaves_nothing(last: str) -> None:
    every = [
        Listening(proto, address, port)
        for proto in ("tcp", "udp")
        for address in ("127.0.0.1", "0.0.0.0", "::", "::1", "10.0.2.15")
        for port in (22, 80, 3000, 5355, 40000)
    ]
    assert followed(f"{{{last}}}", *every) == []
    assert (
        portrules.watched(load(with_image(f"portForwards: [{{{last}}}]")).spec.network.rules) == {}
    )
    assert len(followed("", *every)) == 3  # 3000 of both, 40000 of tcp


def test_a_plain_vm_follows_no_server() -> None:
    text = with_image("plain: true\nportForwards: [{guestPort: 80}, {guestPort: 81, static: true}]")
    network = load(text).spec.network
    assert network.rules == () and [port.guest_port for port in network.ports] == [81, 81]


def test_sockets() -> None:
    rule = "{guestSocket: '/run/user/{{.UID}}/p.sock', hostSocket: '{{.Dir}}/sock/p.sock'}"
    back = "{guestSocket: /run/a.sock, hostSocket: '~/a.sock', reverse: true}"
    (one, two) = load(with_image(f"portForwards: [{rule}, {back}]")).spec.network.sockets
    assert (one.guest_socket, one.host_socket, one.reverse) == (
        "/run/user/1000/p.sock",
        "p.sock",
        False,
    )
    assert (two.host_socket, two.reverse) == ("/home/ann/a.sock", True)


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ("{guestSocket: /a, hostSocket: ../b}", "hostSocket: expected the path of a socket"),
        ('{guestSocket: /a, hostSocket: "a\\tb"}', "hostSocket: a path holds a control character"),
        ("{guestSocket: /a}", "hostSocket: must be set"),
        ("{guestPort: 80, hostSocket: a, static: true}", "static: a static forward of a port"),
        ("{static: true}", "static: a static rule for more than 256 ports"),
        (
            "{guestSocket: /a, hostSocket: b}, {guestSocket: /c, hostSocket: b}",
            "hostSocket: host socket b is forwarded twice",
        ),
    ],
)
def test_a_wrong_socket_or_static_rule_is_a_problem(rule: str, what: str) -> None:
    assert what in problems(with_image(f"portForwards: [{rule}]"))[0]


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
