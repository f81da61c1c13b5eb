"""The driver serves the methods in the table of ``gaovm.driver.v1``."""

from __future__ import annotations

from typing import cast

from gaovm.driver import service, vm
from gaovm.ipc import methods
from gaovm.wire.driver import table


def test_the_driver_serves_every_method_of_the_table() -> None:
    served = service.Service(cast("vm.Vm", None), lambda: None).methods
    assert served == set(table.NAMES) - {methods.HELLO}
