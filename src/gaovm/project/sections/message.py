"""``message``: the text shown after ``up``, a Go template over what a VM's list row has."""

from __future__ import annotations

from gaovm.project import fields, nodes, variables
from gaovm.project.context import Context
from gaovm.project.lima import gotemplates
from gaovm.spec.vm import VmSpec

_GOARCH = {"x86_64": "amd64", "aarch64": "arm64"}


def read(root: nodes.Table, context: Context, spec: VmSpec) -> str:
    """Read the message. One that needs more of Go than GaoVM knows gets its variables alone."""
    node = fields.scalar(root, "message")
    if node is None:
        return ""
    values = _values(context, spec)

    def look(path: tuple[str, ...]) -> gotemplates.Value:
        below = path[1:] if path[0] == "Instance" else path
        if below[:1] == ("Config",):
            return _of_config(root, below[1:])
        name = ".".join(below)
        if name not in values:
            raise gotemplates.Unsupported(f"{{{{.{'.'.join(path)}}}}}")
        return values[name]

    try:
        return gotemplates.expand(node.text, look)
    except gotemplates.Unsupported as exc:
        text, unknown = variables.expand(node.text, context.host_variables())
        for expression in unknown or [str(exc)]:
            context.found.warning(node, f"{expression} is not known and left as it is")
        return text


def _values(context: Context, spec: VmSpec) -> dict[str, gotemplates.Value]:
    home = context.host.vm_dir.rpartition("/")[0].rpartition("/")[0]
    return {
        **context.host_variables(),
        "VMType": "qemu",
        "Arch": spec.boot.arch,
        "CPUs": spec.processors.count,
        "Memory": spec.memory.size_bytes,
        "Disk": spec.disk.size_bytes,
        "Status": "Running",
        "HostOS": "linux",
        "HostArch": _GOARCH[context.host.arch],
        "LimaHome": home,
    }


def _of_config(root: nodes.Table, path: tuple[str, ...]) -> gotemplates.Value:
    """Return a field of the config. Go's names and the file's differ in capitals alone."""
    node: nodes.Node = root
    for name in path:
        below = node.entries if isinstance(node, nodes.Table) else {}
        found = next((each for key, each in below.items() if key.lower() == name.lower()), None)
        if found is None:
            return None
        node = found
    if not isinstance(node, nodes.Scalar) or node.is_null:
        return None
    if node.boolean is not None:
        return node.boolean
    return node.text if node.integer is None else node.integer
