"""Event types: the code emits them, the documentation lists them, and filters accept them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gaovm.daemon.vms import reports
from gaovm.model import event_names
from gaovm.wire.control import payloads

ROOT = Path(__file__).parents[3]


def test_the_list_has_exactly_the_types_that_the_code_emits() -> None:
    code = "".join(path.read_text() for path in (ROOT / "src/gaovm/daemon").rglob("*.py"))
    told = set(re.findall(r"payloads\.(\w+)", code))
    told |= {kind.__name__ for kind in reports.HEALTH_EVENTS.values()}
    assert {kind.TYPE for kind in payloads.PAYLOADS.values() if kind.__name__ in told} == set(
        event_names.TYPES
    )
    assert set(payloads.PAYLOADS) == set(event_names.TYPES)
    assert not re.findall(r"emit\(\s*\"", code), "an event without a struct for its payload"
    assert list(event_names.TYPES) == sorted(event_names.TYPES)


def test_every_type_is_documented() -> None:
    page = (ROOT / "docs/supervision.md").read_text()
    assert [kind for kind in event_names.TYPES if f"`{kind}`" not in page] == []
    assert [old for old in event_names.RENAMED if f"`{old}`" not in page] == ["config"]


def test_names_are_nouns_and_words_in_snake_case() -> None:
    shape = re.compile(r"[a-z]+(\.[a-z]+)*\.[a-z]+(_[a-z]+)*")
    assert [kind for kind in event_names.TYPES if not shape.fullmatch(kind)] == []
    assert set(event_names.RENAMED.values()) <= {*event_names.TYPES, *event_names.GROUPS}


@pytest.mark.parametrize(
    ("kind", "wanted", "matches"),
    [
        ("vm.config.staged", "vm.config.staged", True),
        ("vm.config.staged", "vm.config", True),
        ("vm.config.staged", "vm", True),
        ("vm.config.staged", "config", True),
        ("vm.config.staged", "event.pending_config_replaced", True),
        ("vm.config.applied", "config.pending_applied", True),
        ("config.updated", "vm.config.updated", True),
        ("vm.config.updated", "config.pending_applied", False),
        ("driver.exited", "driver.exit", False),
        ("vm.state", "vm.config", False),
    ],
)
def test_a_filter_accepts_old_and_new_types_and_groups(
    kind: str, wanted: str, matches: bool
) -> None:
    assert event_names.is_known(wanted) or not matches
    assert event_names.matches(kind, wanted) is matches


def test_an_unknown_filter_is_not_accepted() -> None:
    assert not event_names.is_known("drivr")
    assert event_names.is_known("driver.of_a_later_daemon")
