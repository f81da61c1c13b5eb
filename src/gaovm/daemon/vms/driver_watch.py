"""A machine takes its driver, watches for the end of its process, and lets it go."""

from __future__ import annotations

from gaovm import errors
from gaovm.daemon import paths
from gaovm.daemon.vms import driver_protocol, lookups, machine
from gaovm.model import states, supervision
from gaovm.platform import made_sockets
from gaovm.wire.control import payloads


def adopt(vm: machine.Machine, driver: driver_protocol.Driver) -> None:
    """Take a started driver as the machine's own, and watch for its end."""
    vm.driver = driver
    vm.fleet.background(f"vm {vm.name}: driver {driver.pid}", _watch(vm, driver))


def dismiss(vm: machine.Machine) -> None:
    """Let the driver of a VM that has ended go, in the background."""
    if vm.driver is not None:
        leaving = vm.driver.leave(driver_protocol.LEAVE_S)
        vm.fleet.background(f"vm {vm.name}: dismiss", leaving)


async def sweep_host_sockets(vm: machine.Machine) -> None:
    """Remove the host's sockets that the VM's driver could not remove, in a thread."""
    network = vm.record.spec.network
    if network.sockets or any(rule.host_socket for rule in network.rules):
        await lookups.run(made_sockets.sweep, vm.fleet.paths.vm_dir(vm.name))


async def _watch(vm: machine.Machine, driver: driver_protocol.Driver) -> None:
    ended = await driver.gone()
    if vm.driver is not driver:
        return  # the safety reconcile was first
    vm.driver = None
    vm.hypervisor_pid = None
    paths.remove_sockets(vm.fleet.paths.run_dir(vm.record.run_id))
    vm.fleet.background(f"vm {vm.name}: host sockets", sweep_host_sockets(vm))
    alive = vm.state.observed in (states.Observed.RUNNING, states.Observed.STARTING)
    died = alive and not vm.closing
    payload = payloads.DriverExited(pid=ended.pid, exit_code=ended.exit_code, expected=not died)
    vm.fleet.events.tell(vm.name, payload)
    if died:
        failure = errors.DriverLost(
            f"the driver of VM {vm.name} ended with {_how(ended.exit_code)}",
            remedy=f"see {vm.fleet.paths.driver_log(vm.name)}",
        )
        vm.fleet.supervisor.ended(vm, supervision.Ending.DIED, failure)
    vm.touch()


def _how(exit_code: int | None) -> str:
    if exit_code is None:
        return "an unknown status"
    if exit_code == 0:
        return "status 0: it left by itself, as after 15 s without a word from the daemon"
    return f"signal {-exit_code}" if exit_code < 0 else f"status {exit_code}"
