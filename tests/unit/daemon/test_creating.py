"""``vm.create`` makes a VM and starts nothing; ``vm.protect`` keeps one from removal."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.daemon.conftest import Daemon, up_params

from gaovm import errors


async def create(daemon: Daemon, **data: Any) -> Any:
    return await daemon.call("vm.create", **{**up_params(), **data})


async def test_a_vm_that_is_made_does_not_run_and_outlives_the_daemon(daemon: Daemon) -> None:
    vm = (await create(daemon))["vm"]
    assert (vm["name"], vm["state"], vm["desired"]) == ("web-dev", "stopped", "stopped")
    assert vm["detail"] == "made, and not started yet"
    assert (vm["driver_pid"], vm["protected"]) == (None, False)
    assert vm["config_path"] == "/src/web/.lima/config.yaml"
    assert daemon.stored()["web-dev"].project == "/src/web"


async def test_its_first_up_starts_it(daemon: Daemon) -> None:
    await create(daemon)
    result = await daemon.up()
    assert (result["created"], result["vm"]["state"]) == (False, "running")


async def test_a_second_one_is_refused_and_an_update_takes_the_file_over(daemon: Daemon) -> None:
    await create(daemon)
    with pytest.raises(errors.NameTaken, match="there is a VM 'web-dev' already"):
        await create(daemon, config_text="30")
    changed = (await create(daemon, config_text="30", update=True))["vm"]
    assert (changed["disk_bytes"], changed["state"]) == (30 << 30, "stopped")


async def test_another_directory_does_not_get_it(daemon: Daemon) -> None:
    await create(daemon, name="web")
    with pytest.raises(errors.NameTaken, match="taken by /src/web"):
        await create(daemon, name="web", project_dir="/src/other", update=True)


async def test_a_protected_vm_is_not_removed(daemon: Daemon) -> None:
    await create(daemon)
    for _ in range(2):
        assert (await daemon.call("vm.protect", name="web-dev"))["protected"] is True
    assert daemon.stored()["web-dev"].protected
    with pytest.raises(errors.StateConflict, match="protected from removal") as caught:
        await daemon.call("vm.destroy", name="web-dev")
    assert [action.code for action in caught.value.actions] == ["unprotect_vm"]
    await daemon.call("vm.protect", name="web-dev", protected=False)
    await daemon.call("vm.destroy", name="web-dev")
    assert daemon.stored() == {}
