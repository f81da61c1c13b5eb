"""The context of reading a config: the caller, the host, the project and the VM."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from gaovm.project import nodes, variables
from gaovm.project.names import hostname
from gaovm.project.problems import Findings
from gaovm.spec.boot import Arch
from gaovm.spec.guest import User

_MAX_PATH = 1024


@dataclass(frozen=True, slots=True)
class Caller:
    """The host account that runs gaovm. ``comment`` is its full name or empty."""

    name: str
    uid: int
    gid: int
    home: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """The host: its architecture, and the directory of the VM on it (``{{.Dir}}``)."""

    arch: Arch
    vm_dir: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """All of the context, and the collector of problems."""

    caller: Caller
    project_dir: str
    name: str
    host: Host
    found: Findings

    def host_variables(self) -> dict[str, str]:
        """Return the template variables for paths on the host and for the message."""
        return {
            "Home": self.caller.home,
            "Dir": self.host.vm_dir,
            "Name": self.name,
            "Hostname": hostname(self.name),
            "UID": str(self.caller.uid),
            "User": self.caller.name,
        }

    def guest_variables(self, user: User) -> dict[str, str]:
        """Return the template variables for scripts and for paths in the guest."""
        return {
            "Home": user.home,
            "Name": self.name,
            "Hostname": hostname(self.name),
            "UID": str(user.uid),
            "User": user.name,
        }

    def expand(self, node: nodes.Scalar, values: dict[str, str]) -> str:
        """Return a text with its variables replaced; an unknown one is a problem."""
        text, unknown = variables.expand(node.text, values)
        for expression in unknown:
            known = ", ".join(f"{{{{.{name}}}}}" for name in values)
            self.found.problem(node, f"unknown variable {expression}; known here: {known}")
        return text

    def path(self, node: nodes.Scalar, values: dict[str, str], home: str) -> str | None:
        """Return an absolute, clean path; ``~`` is ``home``. Anything else is a problem."""
        text = self.expand(node, values)
        if text == "~" or text.startswith("~/"):
            text = home + text[1:]
        if not text.startswith("/"):
            shown = nodes.describe(node)
            self.found.problem(node, f"expected an absolute path or one below ~, found {shown}")
            return None
        if len(text) > _MAX_PATH:
            self.found.problem(node, f"a path is longer than {_MAX_PATH} characters")
            return None
        if any(ord(char) < 32 for char in text):
            self.found.problem(node, "a path holds a control character")
            return None
        return "/" + posixpath.normpath(text).lstrip("/")
