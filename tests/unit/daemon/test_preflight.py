"""The new code's answer before an upgrade, and the gate that holds requests meanwhile."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gaovm import errors, version
from gaovm.aio import tasks
from gaovm.daemon import handover
from gaovm.daemon.dispatch import upgrade_gate
from gaovm.daemon.storage import store
from gaovm.daemon.upgrading import preflight
from gaovm.ipc import methods
from gaovm.wire.control import table as control_table
from gaovm.wire.driver import table


@pytest.fixture
def question(tmp_path: Path) -> preflight.Question:
    """A question about a state that the new code can take over."""
    path = tmp_path / "state.db"
    store.open_store(path).close()
    driver = preflight.Driver(vm="a", protocol=methods.DRIVER, serves=table.CORE)
    return preflight.Question(
        format=handover.FORMAT,
        version="0.0.1",
        database=str(path),
        drivers=(driver,),
        clients=(methods.CONTROL, methods.LEGACY),
    )


def test_a_compatible_state_has_no_problems(question: preflight.Question) -> None:
    assert preflight.check(question) == preflight.Answer(version=version.VERSION, problems=())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 99}, "in format 99"),
        ({"clients": ("gaovm.control.v9",)}, "a client speaks gaovm.control.v9"),
        (
            {"drivers": (preflight.Driver(vm="b", protocol=methods.DRIVER, serves=("ping",)),)},
            "VM b does not serve hello, vm.configure",
        ),
        (
            {"drivers": (preflight.Driver(vm="b", protocol="gaovm.driver.v0", serves=()),)},
            "VM b speaks gaovm.driver.v0",
        ),
        ({"database": "/nonexistent/state.db"}, "cannot be read"),
    ],
)
def test_every_incompatible_part_is_named(
    question: preflight.Question, changes: dict[str, Any], said: str
) -> None:
    (problem,) = preflight.check(msgspec.structs.replace(question, **changes)).problems
    assert said in problem


def test_an_old_driver_without_the_optional_methods_is_compatible(
    question: preflight.Question,
) -> None:
    assert set(table.CORE) < set(table.NAMES)
    assert preflight.check(question).problems == ()


def test_a_handover_in_an_unknown_format_is_refused() -> None:
    fd = os.memfd_create("test")
    os.write(fd, b'{"format":99,"nothing":"known"}')
    with pytest.raises(errors.StateCorrupt, match="format 99"):
        handover.read(fd)


def test_the_gate_exempts_only_reading_methods() -> None:
    beginnings = control_table.OPERATIONS - {"daemon.upgrade"}
    assert not beginnings & upgrade_gate.READS
    assert upgrade_gate.INSTANT < upgrade_gate.READS


async def test_the_gate_holds_and_releases_requests() -> None:
    door = upgrade_gate.Gate()
    await door.enter("vm.up")
    door.hold(upgrade_gate.READS)
    await door.enter("vm.list")
    waiting = tasks.spawn(door.enter("vm.up"), name="waiting")
    await asyncio.sleep(0)
    door.hold(upgrade_gate.INSTANT)
    reading = tasks.spawn(door.enter("vm.list"), name="reading")
    await asyncio.sleep(0)
    assert not waiting.done()
    assert not reading.done()
    door.open()
    await asyncio.wait([waiting, reading])
