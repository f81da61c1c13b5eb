"""``gaovm provision`` runs scripts again, and so does an ``up`` after a script failed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.unit.daemon.conftest import Daemon, up_params

from gaovm import errors
from gaovm.daemon.vms import project_file

FILE = """\
images: [{location: "debian:12"}]
cpus: CPUS
provision: [{mode: system, script: "SCRIPT"}]
"""
FAILED = errors.ProvisionFailed("provision[0] ended with status 3")


def file(project: Path, script: str, cpus: int = 2) -> dict[str, Any]:
    text = FILE.replace("SCRIPT", script).replace("CPUS", str(cpus))
    return {**up_params(), "project_dir": str(project), "config_text": text}


def scripts_run(daemon: Daemon) -> list[str]:
    """Return the script that each call asked the driver to run."""
    runs = [params for method, params in daemon.driver.calls if method == "guest.provision"]
    return [params["provision"][0]["script"] for params in runs]


@pytest.fixture
async def project(daemon: Daemon, tmp_path: Path) -> Path:
    daemon.ctx.load_config = project_file.load
    path = tmp_path / "web"
    path.mkdir()
    return path


async def test_the_next_up_runs_a_repaired_script(daemon: Daemon, project: Path) -> None:
    daemon.launcher.boot_until, daemon.launcher.guest_error = "provisioning", FAILED
    with pytest.raises(errors.ProvisionFailed):
        await daemon.call("vm.up", **file(project, "bad"))
    daemon.launcher.boot_until, daemon.launcher.guest_error = "ready", None
    result = await daemon.call("vm.up", **file(project, "good", cpus=3))
    assert scripts_run(daemon) == ["good"]
    vm = result["vm"]
    assert (vm["state"], vm["first_up"], vm["last_error"]) == ("running", "done", None)
    record = daemon.stored()["web-dev"]
    assert record.spec.guest.provision[0].script == "good"
    assert [each["field"] for each in vm["pending"]] == ["cpus"], "other changes still wait"
    [warning] = result["warnings"]
    assert warning.endswith("next start: cpus"), "the script is not pending: it runs now"
    assert len(daemon.launcher.launched) == 1


async def test_other_failures_are_reported_without_running_scripts(daemon: Daemon) -> None:
    daemon.launcher.boot_until = "agent"
    daemon.launcher.guest_error = errors.GuestUnavailable("the agent is gone")
    with pytest.raises(errors.GuestUnavailable):
        await daemon.up()
    with pytest.raises(errors.GuestUnavailable) as caught:
        await daemon.up()
    assert "stop_vm" in [action.code for action in caught.value.actions]
    assert "guest.provision" not in dict(daemon.driver.calls)


async def test_provision_runs_the_scripts_of_the_current_file(
    daemon: Daemon, project: Path
) -> None:
    await daemon.call("vm.up", **file(project, "one"))
    await daemon.call("vm.provision", name="web-dev")
    project_now = file(project, "two")
    result = await daemon.call("vm.provision", name="web-dev", project=project_now)
    assert scripts_run(daemon) == ["one", "two"]
    assert (result["vm"]["pending"], result["warnings"]) == ([], [])
    assert daemon.stored()["web-dev"].spec.guest.provision[0].script == "two"
    daemon.launcher.boot_until, daemon.launcher.guest_error = "provisioning", FAILED
    with pytest.raises(errors.ProvisionFailed):
        await daemon.call("vm.provision", name="web-dev")
    assert (await daemon.status())["state"] == "degraded"


async def test_a_refused_provision_leaves_the_vm_unchanged(daemon: Daemon, project: Path) -> None:
    with pytest.raises(errors.VmNotFound):
        await daemon.call("vm.provision", name="web-dev")
    await daemon.call("vm.up", **file(project, "one"))
    daemon.launcher.failures["guest.provision"] = errors.CapabilityError("an older driver")
    with pytest.raises(errors.CapabilityError):
        await daemon.call("vm.provision", name="web-dev")
    assert (await daemon.status())["state"] == "running" and daemon.driver.alive()
    wide = file(project, "two")
    wide["config_text"] += "vmOpts: {gaovm: {hostAccess: true}}\n"
    with pytest.raises(errors.ApprovalNeeded):
        await daemon.call("vm.provision", name="web-dev", project=wide)
    await daemon.call("vm.stop", name="web-dev")
    with pytest.raises(errors.StateConflict) as caught:
        await daemon.call("vm.provision", name="web-dev")
    assert [action.code for action in caught.value.actions] == ["start_vm"]


async def test_a_provision_continues_if_its_caller_leaves(daemon: Daemon, project: Path) -> None:
    await daemon.call("vm.up", **file(project, "one"))
    daemon.launcher.boot_until = "provisioning"
    again = asyncio.ensure_future(daemon.call("vm.provision", name="web-dev"))
    await daemon.rest()
    again.cancel("undo")
    await asyncio.wait([again])
    daemon.driver.boot("ready")
    await daemon.rest()
    assert (await daemon.status())["state"] == "running"
