"""The keys that the command line reads from results are fields of the contract's structs.

Commands that must start fast load no msgspec, so they read plain dictionaries. This file declares
each expression that is read by a literal key: which structs it may hold, or that it is not part of
the contract. A test fails if an expression is not declared, or declared and no longer read.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import gaovm
from gaovm.spec.diff import Difference
from gaovm.wire.agent import info
from gaovm.wire.control import (
    config,
    disks,
    display,
    events,
    images,
    logs,
    ports,
    process,
    sessions,
    status,
    table,
    target,
    vms,
)
from gaovm.wire.control.progress import Progress

SRC = Path(gaovm.__file__).parent
Kinds = tuple[type[msgspec.Struct], ...]

#: Read from results: for each file, the expression and the structs that it may hold.
READS: dict[str, dict[str, Kinds]] = {
    "cli/commands/adopt.py": {"result": (status.VmStatus, status.Lost)},
    "cli/commands/config.py": {
        "result": (config.SetResult, config.DiffResult, config.PlanResult),
        "result['vm']": (status.VmStatus,),
        "row": (Difference,),
    },
    "cli/commands/daemon.py": {
        "client.call('daemon.status', {})": (process.DaemonStatus,),
        "found": (process.DaemonStatus,),
        "result": (process.Upgraded,),
        "stalls": (process.Stalls,),
        "vms": (process.VmCount,),
    },
    "cli/commands/disks.py": {
        "client.call('disk.list', {})": (disks.DiskList,),
        "disk": (disks.DiskInfo, disks.RemovedDisk),
        "each": (disks.DiskInfo,),
    },
    "cli/commands/display.py": {
        "about": (display.Screenshot,),
        "status": (display.DisplayStatus,),
        "taken": (display.Screenshot,),
    },
    "cli/commands/doctor.py": {
        "client.call('daemon.status', {}, _ANSWER_LIMIT_S)": (process.DaemonStatus,),
        "stalls": (process.Stalls,),
    },
    "cli/commands/events.py": {"event": (events.Event,)},
    "cli/commands/explain.py": {"vm": (status.VmStatus,)},
    "cli/commands/images.py": {
        "client.call('image.list', {})": (images.ImageList,),
        "image": (images.Image,),
        "item": (images.ImageInfo,),
        "result": (images.Pruned,),
    },
    "cli/commands/lifecycle.py": {
        "result": (status.UpResult, status.Destroyed),
        "vm": (status.VmStatus,),
    },
    "cli/commands/listing.py": {
        "client.call('vm.list', {})": (status.VmList,),
        "port": (ports.PortStatus,),
        "vm": (status.VmStatus,),
    },
    "cli/commands/loglevel.py": {"found": (logs.LevelResult,)},
    "cli/commands/ports.py": {
        "port": (ports.PortStatus,),
        "listed": (ports.PortList,),
        "calls.call(client, 'vm.ports.remove', params)": (ports.Removed,),
    },
    "cli/commands/provision.py": {
        "result": (status.UpResult,),
        "result['vm']": (status.VmStatus,),
    },
    "cli/commands/run.py": {
        "client.call('vm.list', {})": (status.VmList,),
        "mount": (sessions.Mounted,),
        "ticket": (sessions.Ticket,),
        "vm": (status.VmStatus,),
    },
    "cli/commands/code.py": {"vm": (status.VmStatus,), "vm['user']": (status.User,)},
    "cli/commands/ssh.py": {
        "client.call('vm.list', {})": (status.VmList,),
        "each": (status.VmStatus,),
        "vm": (status.VmStatus,),
    },
    "cli/commands/ssh_proxy.py": {"ticket": (sessions.Ticket,)},
    "openssh/alias.py": {
        "allowed": (status.Ssh,),
        "vm": (status.VmStatus,),
        "vm['user']": (status.User,),
    },
    "cli/commands/status.py": {
        "a": (info.Address, info.Listener),
        "accelerator": (status.Accelerator,),
        "disk": (status.AdditionalDisk,),
        "found": (Difference,),
        "guard": (status.Guard,),
        "image": (status.VmImage,),
        "info": (info.Info,),
        "known": (status.Confinement,),
        "last": (status.Failure,),
        "memory": (info.Memory,),
        "mount": (status.Mount,),
        "network": (status.Network,),
        "port": (ports.PortStatus,),
        "restarts": (status.Restarts,),
        "calls.call(client, 'vm.ports.list', {'name': vm['name']})": (ports.PortList,),
        "usage": (status.Usage,),
        "user": (status.User,),
        "vm": (status.VmReport,),
    },
    "cli/commands/up.py": {
        "client.call('vm.list', {})": (status.VmList,),
        "mount": (status.Mount,),
        "result": (status.UpResult,),
        "result['vm']": (status.VmStatus,),
        "vm": (status.VmStatus,),
        "vm.get('boot') or {}": (status.Boot,),
    },
    "cli/calls.py": {
        "call(client, 'vm.status', {'name': name})": (status.VmReport,),
        "listed": (status.VmList,),
        "ticket": (sessions.Ticket,),
        "vm": (status.VmStatus,),
    },
    "cli/completing.py": {
        "disk": (disks.DiskInfo,),
        "image": (images.Image,),
        "vm": (status.VmStatus,),
    },
    "cli/target.py": {
        "client.call('vm.list', {'of_project': project.directory})": (status.VmList,),
    },
    "cli/commands/protecting.py": {"vm": (status.VmStatus,)},
    "cli/lima/configs.py": {"vm": (status.VmStatus,)},
    "cli/lima/homes.py": {"vm": (status.VmStatus,)},
    "cli/lima/instances.py": {
        "vm": (status.VmStatus,),
        "vm.get('last_error') or {}": (status.Failure,),
    },
    "cli/lima/loading.py": {"vm": (status.VmStatus,)},
    "cli/lima/verbs/asking.py": {
        "client.call('vm.list', {})": (status.VmList,),
        "event": (events.Event,),
        "vm": (status.VmStatus,),
    },
    "cli/lima/verbs/editing.py": {"vm": (status.VmStatus,)},
    "cli/lima/verbs/ending.py": {
        "image": (images.ImageInfo,),
        "result": (images.Pruned, status.Created),
        "vm": (status.VmStatus,),
    },
    "cli/lima/verbs/entering.py": {
        "client.call('vm.list', {})": (status.VmList,),
        "each": (status.VmStatus,),
        "vm": (status.VmStatus,),
    },
    "cli/lima/verbs/guarding.py": {"vm": (status.VmStatus,)},
    "cli/lima/verbs/listing.py": {
        "client.call('vm.list', {})": (status.VmList,),
        "each": (status.VmStatus,),
        "vm": (status.VmStatus,),
    },
    "cli/lima/verbs/starting.py": {
        "client.call('vm.list', {})": (status.VmList,),
        "result": (status.Created, status.UpResult),
        "result['vm']": (status.VmStatus,),
        "vm": (status.VmStatus,),
    },
    "cli/sysinit/running.py": {
        "_existing(client)": (status.VmReport,),
        "known": (status.VmReport,),
        "result": (status.UpResult,),
        "vm": (status.VmStatus,),
    },
    "client/copy.py": {"ticket": (sessions.Ticket,)},
    "client/events.py": {
        "answer": (events.Subscribed,),
        "event": (events.Event,),
        "params": (events.Lagged,),
    },
    "client/inquiry.py": {
        "asked": (status.VmReport,),
        "failure": (status.Failure,),
        "status": (status.VmReport,),
    },
    "client/session.py": {"ticket": (sessions.Ticket,)},
}
#: Written to parameters, or read from parameters that the code has written.
PARAMS: dict[str, dict[str, Kinds]] = {
    "cli/approval.py": {"params": (vms.Up,)},
    "cli/commands/adopt.py": {"params": (vms.Adopt,)},
    "cli/commands/config.py": {"params": (config.Set, config.Diff, config.Plan)},
    "cli/commands/explain.py": {"who": (vms.Caller,)},
    "cli/commands/images.py": {"params": (images.Build, images.Pull)},
    "cli/commands/lifecycle.py": {"params": (vms.Stop, vms.Restart)},
    "cli/commands/loglevel.py": {"params": (logs.SetLevel,)},
    "cli/commands/ports.py": {"params": (ports.Add, ports.Remove)},
    "cli/commands/provision.py": {"params": (vms.Provision,)},
    "cli/commands/disks.py": {"params": (disks.Create, disks.Remove)},
    "cli/commands/status.py": {"params": (vms.Status,)},
    "cli/commands/templates.py": {"who": (vms.Caller,)},
    "cli/commands/up.py": {"params": (vms.Up,)},
    "cli/lima/verbs/starting.py": {"params": (vms.Create, vms.Up)},
    "cli/lima/verbs/templating.py": {"who": (vms.Caller,)},
    "cli/progress.py": {"params": (Progress,)},
    "cli/calls.py": {"params": (target.OfVm, Progress)},
    "cli/waiting.py": {"file": (vms.Up,), "params": (Progress, target.OfVm)},
}
#: Not part of a result: environments, error details, log lines, session frames, command tables.
OTHERS = {
    "cli/approval.py": {"error.details"},
    "cli/commands/daemon.py": {"recovered", "unit"},
    "cli/commands/doctor.py": {"counts"},
    "cli/commands/run.py": {"_NOT_STARTED", "error.details", "start"},
    "cli/commands/ssh_proxy.py": {"error.details"},
    "cli/commands/templates.py": {"error.details", "found", "problem", "result"},
    "cli/commands/units.py": {"environment"},
    "cli/entries.py": {"data", "entry.data", "line", "self.data"},
    "cli/lima/configs.py": {"data", "entry"},
    "cli/lima/instances.py": {"config or {}"},
    "cli/lima/reading.py": {"config.parse(text, path).entries"},
    "cli/lima/verbs/asking.py": {"error", "payload", "shown"},
    "cli/lima/verbs/disks.py": {"client.call(_LIST, {})", "each"},
    "cli/lima/verbs/entering.py": {"parsed.values"},
    "cli/lima/verbs/listing.py": {"row"},
    "cli/lima/verbs/starting.py": {"error.details"},
    "cli/output.py": {"data"},
    "client/session.py": {"error", "reply", "wanted"},
}


def reads(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield every ``x["key"]`` and ``x.get("key")``: what ``x`` is, and the key."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            of, key = node.value, node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr != "get" or not node.args:
                continue
            of, key = node.func.value, node.args[0]
        else:
            continue
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield ast.unparse(of), key.value


def found() -> dict[str, dict[str, set[str]]]:
    """Return the keys read, by file and expression; leave out environments."""
    result: dict[str, dict[str, set[str]]] = {}
    paths = [path for part in ("cli", "client", "openssh") for path in (SRC / part).rglob("*.py")]
    for path in sorted(paths):
        file = str(path.relative_to(SRC))
        for of, key in reads(ast.parse(path.read_text())):
            if of != "os.environ":
                result.setdefault(file, {}).setdefault(of, set()).add(key)
    return result


FOUND = found()


def fields(kinds: Kinds) -> set[str]:
    return {field.encode_name for kind in kinds for field in msgspec.structs.fields(kind)}


@pytest.mark.parametrize("file", sorted({*FOUND, *READS, *PARAMS, *OTHERS}))
def test_every_key_is_part_of_the_contract(file: str) -> None:
    results, params, others = READS.get(file, {}), PARAMS.get(file, {}), OTHERS.get(file, set())
    seen = FOUND.get(file, {})
    assert set(seen) == {*results, *params, *others}, "declare it here, or remove its declaration"
    for of, keys in seen.items():
        if of not in others:
            known = fields((*results.get(of, ()), *params.get(of, ())))
            assert keys <= known, f"{of} has no {sorted(keys - known)}"


def test_every_method_that_is_called_by_name_is_in_the_table() -> None:
    called = set()
    for path in [*(SRC / "cli").rglob("*.py"), *(SRC / "client").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("call"):
                words = [each.value for each in node.args if isinstance(each, ast.Constant)]
                called |= {word for word in words if isinstance(word, str)}
    assert len(called) > 15
    assert called <= set(table.METHODS)
