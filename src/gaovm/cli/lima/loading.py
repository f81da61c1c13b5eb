"""Read an instance's config as Lima does: bases and defaults in place, every value there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gaovm import errors
from gaovm.cli.lima import instances
from gaovm.client import paths
from gaovm.hostfacts import sources
from gaovm.project import config, nodes, problems
from gaovm.project.lima import embedding

#: The order of the fields in Lima's output.
_ORDER = (
    *("minimumLimaVersion", "vmType", "vmOpts", "os", "arch", "images", "cpuType", "cpus"),
    *("memory", "disk", "additionalDisks", "mounts", "mountTypesUnsupported", "mountType"),
    *("mountInotify", "ssh", "firmware", "audio", "video", "provision", "upgradePackages"),
    *("containerd", "guestInstallPrefix", "probes", "portForwards", "copyToHost", "message"),
    *("networks", "env", "param", "dns", "hostResolver", "propagateProxyEnv", "caCerts"),
    *("rosetta", "plain", "timezone", "nestedVirtualization", "user"),
)
_DEFAULTS: dict[str, Any] = {
    "os": "Linux",
    "mountInotify": False,
    "ssh": {
        "localPort": 0,
        "loadDotSSHPubKeys": False,
        "forwardAgent": False,
        "forwardX11": False,
        "forwardX11Trusted": False,
    },
    "firmware": {"legacyBIOS": False},
    "video": {"display": "none"},
    "upgradePackages": False,
    "guestInstallPrefix": "/usr/local",
    "hostResolver": {"enabled": True, "ipv6": False},
    "propagateProxyEnv": True,
    "caCerts": {"removeDefaults": False},
    "plain": False,
    "nestedVirtualization": False,
}
_DEFAULT_FILES = ("default.yaml", "override.yaml", embedding.DEFAULT_BASE)


class Noting(sources.Files):
    """Reads files, and notes the path of each; also of those that are not there."""

    def __init__(self, home: Path, project: str) -> None:
        super().__init__(home, project)
        self.asked: list[str] = []
        self._root = home

    def file(self, path: str) -> bytes:
        """Return a file's content, see ``sources.Files``."""
        self.asked.append(path)
        return super().file(path)

    def template(self, name: str) -> bytes:
        """Return a template's content, see ``sources.Files``."""
        self.asked.append(str(self._root / "templates" / name))
        return super().template(name)

    def config(self, name: str) -> bytes | None:
        """Return a file of the user's own defaults, see ``sources.Files``."""
        self.asked.append(str(self._root / sources.CONFIG / name))
        return super().config(name)


def load(vm: Mapping[str, Any]) -> tuple[dict[str, Any] | None, list[str]]:
    """Return a VM's config as JSON, None if it is no config, and the files that it comes from."""
    path, project = str(vm["config_path"]), str(vm["project"])
    files = Noting(Path(paths.home()), project)
    files.asked.append(path)
    try:
        text = sources.read(path)[0].decode()
        root = whole(text, path, project, files)
    except (errors.GaoError, embedding.Unavailable, UnicodeDecodeError):
        return None, files.asked
    return filled(tree(root), vm), files.asked


def whole(text: str, path: str, project: str, files: embedding.Resolver) -> nodes.Table:
    """Return the tree of a config with its bases, scripts and the user's defaults.

    Raises:
        errors.ConfigError: it is no config.
    """
    found = problems.Findings(path)
    return config.tree(
        text, path, os.environ.get("HOME") or str(Path.home()), project, files, found
    )


def tree(node: nodes.Node) -> Any:
    """Return a node as JSON data; entries that are null are left out, as Lima does."""
    if isinstance(node, nodes.Table):
        values = {key: tree(each) for key, each in node.entries.items()}
        return {key: value for key, value in values.items() if value is not None and value != {}}
    if isinstance(node, nodes.Sequence):
        return [tree(each) for each in node.items]
    if node.is_null:
        return None
    value = node.boolean if node.boolean is not None else node.integer
    return node.text if value is None else value


def filled(given: dict[str, Any], vm: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with the values that it leaves to GaoVM, in Lima's order."""
    user = vm.get("user") or {}
    own = {
        "vmType": vm["vm_type"],
        "arch": vm["arch"],
        "cpus": vm["cpus"],
        "memory": instances.size(vm["memory_bytes"]),
        "disk": instances.size(vm["disk_bytes"]),
        "user": {key: user[key] for key in ("name", "uid", "home") if key in user},
    }
    both = _over({**_DEFAULTS, **own}, given)
    first = {key: both[key] for key in _ORDER if key in both}
    return {**first, **{key: both[key] for key in both if key not in first}}


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**below, **above}
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            merged[key] = _over(below[key], value)
    return merged
