"""The one table of ``gaovm.control.v1``, and the code that uses it."""

from __future__ import annotations

import msgspec
import pytest

from gaovm.daemon.dispatch import service, upgrade_gate
from gaovm.ipc import methods
from gaovm.wire.control import table


def test_clients_without_msgspec_have_the_tables_names() -> None:
    assert (methods.HELLO, *table.METHODS) == methods.CONTROL_METHODS


def test_every_method_has_exactly_one_handler() -> None:
    assert set(service.HANDLERS) == set(table.METHODS)
    assert len(set(service.HANDLERS.values())) == len(service.HANDLERS)


def test_which_methods_a_stopping_daemon_refuses() -> None:
    assert sorted(table.OPERATIONS) == [
        "daemon.upgrade",
        "image.build",
        "image.pull",
        "vm.create",
        "vm.provision",
        "vm.restart",
        "vm.start",
        "vm.up",
    ]


def test_which_methods_a_waiting_upgrade_still_answers() -> None:
    assert sorted(table.SPARED) == [
        "call.cancel",
        "daemon.status",
        "daemon.stop",
        "daemon.upgrade",
        "disk.list",
        "events.subscribe",
        "image.list",
        "ping",
        "vm.config.diff",
        "vm.config.plan",
        "vm.display.status",
        "vm.list",
        "vm.ports.list",
        "vm.session",
        "vm.status",
    ]
    assert upgrade_gate.READS >= table.SPARED


@pytest.mark.parametrize("name", table.METHODS)
def test_a_row_is_complete(name: str) -> None:
    row = table.METHODS[name]
    assert row.about
    assert row.params.__struct_config__.frozen
    assert row.params.__struct_config__.forbid_unknown_fields
    for kind in (row.params, *getattr(row.result, "__args__", (row.result,))):
        assert issubclass(kind, msgspec.Struct)
        assert kind.__doc__
        msgspec.json.schema(kind)  # JSON has each of its types
