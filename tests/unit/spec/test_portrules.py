"""Which forwards a guest has, from the rules and from what listens in it."""

from __future__ import annotations

import pytest

from gaovm.spec import portrules
from gaovm.spec.portrules import ANY, LOOPBACK, Listening, Rule, Target, follow, standing, watched

ALL = Rule(1, 65535, ANY)


def tcp(address: str, port: int = 80) -> Listening:
    return Listening("tcp", address, port)


def udp(address: str, port: int = 80) -> Listening:
    return Listening("udp", address, port)


@pytest.mark.parametrize(
    ("addresses", "dialled"),
    [
        (["10.0.2.15", "::", "::1", ANY, LOOPBACK], LOOPBACK),
        (["::", "::1", ANY], LOOPBACK),
        (["::", "::1"], "::1"),
        (["::"], LOOPBACK),  # a socket on :: takes IPv4 as a rule
        (["10.0.2.16", "10.0.2.15"], "10.0.2.15"),
    ],
)
def test_servers_of_one_port_share_a_forward(addresses: list[str], dialled: str) -> None:
    (found,) = follow([ALL], [tcp(address) for address in addresses])
    assert (found.dial, found.target) == (dialled, Target(LOOPBACK, 80))


def test_both_protocols_of_a_port_are_forwarded() -> None:
    found = follow([ALL], [udp(LOOPBACK), tcp(LOOPBACK)])
    assert [each.proto for each in found] == ["tcp", "udp"]


def test_a_rule_for_every_address_dials_no_server_of_the_loopback() -> None:
    rule = Rule(80, 80, ANY, must_be_zero=True)
    (found,) = follow([rule], [tcp(ANY), udp(ANY)][:1])
    assert found.dial == portrules.ANY_ONLY
    # a datagram server answers from 127.0.0.1, so nothing else can be dialled
    (found,) = follow([rule], [udp(ANY)])
    assert found.dial == LOOPBACK
    assert follow([rule], [udp(ANY), udp(LOOPBACK)]) == []


def test_what_cannot_be_honoured_stays_closed() -> None:
    assert follow([Rule(1, 65535, host_first=2)], [tcp(LOOPBACK, 65535)]) == []
    assert follow([Rule(80, 80, host_socket="a")], [udp(LOOPBACK)]) == []
    assert follow([Rule(80, 80, static=True), ALL], [tcp(LOOPBACK)]) == []


def test_the_standing_rules_leave_the_system_alone() -> None:
    closed = [tcp(ANY, 22), tcp(ANY, 5355), udp(ANY, 5353), tcp(LOOPBACK, 631), udp(LOOPBACK, 323)]
    assert follow(standing([]), [*closed, udp(LOOPBACK, 40000)]) == []
    found = follow(standing([]), [tcp(LOOPBACK, 3000), tcp(ANY, 8080), udp(LOOPBACK, 5000)])
    assert [each.target.port for each in found] == [3000, 5000, 8080]
    # a rule of the user's own opens them, but port 22
    rules = standing([Rule(5355, 5355, ANY), Rule(22, 22)])
    assert [each.guest_port for each in follow(rules, closed)] == [5355]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], {}),
        ([Rule(80, 80, ignore=True)], {}),
        ([Rule(80, 80, static=True)], {}),
        ([Rule(80, 80, guest_socket="/a")], {}),
        ([Rule(80, 90, proto="tcp"), Rule(85, 99)], {"tcp": [(80, 99)], "udp": [(85, 99)]}),
        ([Rule(1, 65535, ANY, ignore=True), ALL], {}),
        # another rule may still match a server on one address
        ([Rule(1, 65535, ignore=True), Rule(80, 80, proto="tcp")], {"tcp": [(80, 80)]}),
    ],
)
def test_only_ports_that_could_be_forwarded_are_watched(
    rules: list[Rule], expected: dict[str, list[tuple[int, int]]]
) -> None:
    assert watched(rules) == expected


def test_a_last_rule_ignores_only_its_protocol() -> None:
    rules = standing([Rule(1, 65535, ignore=True, proto="udp")])
    found = follow(rules, [tcp(LOOPBACK, 3000), udp(LOOPBACK, 3000)])
    assert [each.proto for each in found] == ["tcp"]
