"""Which listener is forwarded, and to where: against Lima's own port rules and expectations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from gaovm.project import nodes
from gaovm.project.lima.portrules import read
from gaovm.spec.portrules import ANY, LOOPBACK, Rule, Target, complete, decide

VECTORS = Path(__file__).parents[2] / "data" / "lima" / "vectors" / "port-forward-rules.json"
DATA: dict[str, Any] = json.loads(VECTORS.read_text())
SSH = 50022
#: What "ipv4" stands for: an address of the host.
HOST = "192.0.2.10"


#: Through YAML, as a file has them.
TREE = nodes.parse(yaml.safe_dump({"portForwards": DATA["rules"]}))
RULES = complete(read(TREE), SSH)


def test_every_expectation_of_lima_s_is_here() -> None:
    """All that were handed on; Lima's own file has 57."""
    assert len(DATA["rules"]) == 20
    assert len(DATA["tests"]) >= 35


@pytest.mark.parametrize("case", DATA["tests"], ids=lambda c: f"{c['guest_ip']}:{c['guest_port']}")
def test_a_rule_decides_as_lima_s(case: dict[str, Any]) -> None:
    port = SSH if case["guest_port"] == "sshLocalPort" else case["guest_port"]
    found = decide(RULES, case["guest_ip"], port)
    if case["expect"] == "ignore":
        assert found is None
        return
    assert found is not None
    expected = Target(socket=(case["host_socket"] or "").removeprefix("sockDir/"))
    if case["host_socket"] is None:
        host = HOST if case["host_ip"] == "ipv4" else case["host_ip"]
        expected = Target(ip=host, port=case["host_port"])
    assert found[1] == expected


def test_a_rule_for_one_protocol_leaves_the_other_to_later_rules() -> None:
    rules = complete([Rule(53, 53, ignore=True, proto="udp"), Rule(53, 53, host_first=5353)])
    assert decide(rules, LOOPBACK, 53, "udp") is None
    found = decide(rules, LOOPBACK, 53, "tcp")
    assert found is not None and found[1] == Target(LOOPBACK, 5353)


def test_a_last_ignore_forwards_nothing() -> None:
    rules = complete([Rule(1, 65535, ANY, ignore=True)])
    for address in (LOOPBACK, ANY, "::", "::1", "10.0.2.15"):
        assert decide(rules, address, 8080) is None
    assert decide(complete([]), LOOPBACK, 22) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", Rule(1, 65535, field="portForwards[0]")),
        ("{guestPort: 0}", Rule(1, 65535, field="portForwards[0]")),
        ("{guestPort: 80, hostPort: 0}", Rule(80, 80, field="portForwards[0]", host_first=0)),
        (
            "{guestPortRange: [1, 9], hostPortRange: [11, 19]}",
            Rule(1, 9, field="portForwards[0]", host_first=11),
        ),
        (
            "{guestIPMustBeZero: true, proto: udp}",
            Rule(1, 65535, ANY, must_be_zero=True, proto="udp", field="portForwards[0]"),
        ),
        ("{guestPort: 70000}", None),
        ("{guestPortRange: [9, 1]}", None),
        ("{guestPortRange: [9]}", None),
        ("{guestIP: here}", None),
        ("{hostPort: x}", None),
        ("{reverse: true, guestSocket: /a, hostSocket: /b}", None),
    ],
)
def test_defaults_of_a_rule(text: str, expected: Rule | None) -> None:
    rules = read(nodes.parse(f"portForwards: [{text}]"))
    assert rules == (() if expected is None else (expected,))


def test_a_rule_of_a_socket_matches_no_port() -> None:
    rules = complete(read(nodes.parse("portForwards: [{guestSocket: /a, ignore: true}]")))
    assert decide(rules, LOOPBACK, 80) is not None
    any_free = complete([Rule(80, 90, host_first=0)])
    found = decide(any_free, LOOPBACK, 85)
    assert found is not None and found[1] == Target(LOOPBACK, 0)
