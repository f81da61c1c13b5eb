"""``cpus``, ``cpuType``, ``nestedVirtualization`` -> ``spec.processors``; QEMU's oldest version."""

from __future__ import annotations

import re

from gaovm.project import fields, nodes
from gaovm.project.context import Context
from gaovm.project.lima.values import ARCHES
from gaovm.spec.processors import Processors

# a name of QEMU's, then features: `Haswell-v4,+avx2,pmu=off`
_MODEL = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(?:,[+-]?[A-Za-z0-9][A-Za-z0-9._-]*(?:=[\w.-]+)?)*\Z", re.A
)
_MAX_MODEL = 256
_VERSION = re.compile(r"v?([0-9]{1,5}\.[0-9]{1,5}\.[0-9]{1,5})(?:[-+][0-9A-Za-z.-]*)?\Z")


def read(root: nodes.Table, arch: str, context: Context) -> Processors:
    """Read number and model of the CPUs; 2 of the builder's choice when not set."""
    count = fields.bounded(root, "cpus", (1, 256), context.found)
    return Processors(
        count=Processors().count if count is None else count,
        model=_model(root, arch, context),
        nested=fields.boolean(root, "nestedVirtualization") is True,
    )


def read_minimum_version(root: nodes.Table, context: Context) -> str:
    """Read ``vmOpts.qemu.minimumVersion``; empty when not set."""
    node = fields.scalar(_qemu(root), "minimumVersion")
    if node is None or not node.text:
        return ""
    match = _VERSION.match(node.text)
    if match is None:
        what = f"expected a version such as 8.2.1, found {nodes.describe(node)}"
        context.found.problem(node, what, remedy="write three numbers with dots between them")
        return ""
    return match[1]


def _qemu(root: nodes.Table) -> nodes.Table:
    return fields.table(fields.table(root, "vmOpts"), "qemu")


def _model(root: nodes.Table, arch: str, context: Context) -> str:
    """Return the model for the VM's architecture; the newer of Lima's two fields wins."""
    chosen = ""
    for place in (_qemu(root), root):
        models = fields.table(place, "cpuType")
        for key in models.entries:
            node = fields.scalar(models, key)
            if node is None or not node.text:
                continue
            if key not in ARCHES:
                what = f"unknown architecture; Lima has {', '.join(ARCHES)}"
                context.found.problem(node, what, remedy="name the architecture, such as x86_64")
            elif len(node.text) > _MAX_MODEL or not _MODEL.match(node.text) or node.text == "help":
                what = f"expected a CPU model of QEMU, found {nodes.describe(node)}"
                context.found.problem(
                    node, what, remedy="write one of `qemu-system-ARCH -cpu help`"
                )
            elif key == arch and not chosen:
                chosen = node.text
    return chosen
