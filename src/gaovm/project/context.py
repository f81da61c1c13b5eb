"""The context of reading a config: the caller, the host, the project and the VM."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field

from gaovm.project import nodes, variables
from gaovm.project.names import hostname
from gaovm.project.problems import Findings
from gaovm.spec.boot import Arch
from gaovm.spec.guest import User

_MAX_PATH = 1024


@dataclass(frozen=True, slots=True)
class Caller:
    """The host account that runs gaovm. ``comment`` is its full name or empty.

    ``proxies``: the proxy variables of its environment.
    """

    name: str
    uid: int
    gid: int
    home: str
    comment: str = ""
    proxies: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Host:
    """The host: its architecture, the directory of the VM on it (``{{.Dir}}``), its time zone."""

    arch: Arch
    vm_dir: str = ""
    timezone: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """All of the context, and the collector of problems.

    ``own_mount``: the VM gets the project's directory, also where the file does not mention it.
    """

    caller: Caller
    project_dir: str
    name: str
    host: Host
    found: Findings
    params: Mapping[str, str] = field(default_factory=dict)
    own_mount: bool = True

    def host_variables(self) -> dict[str, str]:
        """Return the template variables for paths on the host and for the message."""
        return {
            "Home": self.caller.home,
            "Dir": self.host.vm_dir,
            "Name": self.name,
            "Hostname": hostname(self.name),
            "UID": str(self.caller.uid),
            "User": self.caller.name,
            "GlobalTempDir": "/tmp",
            "TempDir": "/tmp",
            **self._params(),
        }

    def guest_variables(self, user: User) -> dict[str, str]:
        """Return the template variables for scripts and for paths in the guest."""
        return {
            "Home": user.home,
            "Name": self.name,
            "Hostname": hostname(self.name),
            "UID": str(user.uid),
            "User": user.name,
            **self._params(),
        }

    def param_env(self) -> dict[str, str]:
        """Return the environment variables by which scripts get the params."""
        return {f"PARAM_{name}": value for name, value in self.params.items()}

    def _params(self) -> dict[str, str]:
        return {f"Param.{name}": value for name, value in self.params.items()}

    def expand(self, node: nodes.Scalar, values: dict[str, str]) -> str:
        """Return a text with its variables replaced; an unknown one is a problem."""
        text, unknown = variables.expand(node.text, values)
        for expression in unknown:
            known = ", ".join(f"{{{{.{name}}}}}" for name in values)
            what = f"unknown variable {expression}; known here: {known}"
            self.found.problem(node, what, remedy="use one of these, or take the braces out")
        return text

    def host_path(self, node: nodes.Scalar) -> str | None:
        """Return a path on the host; ``.`` and ``..`` begin a path relative to the project."""
        return self.path(node, self.host_variables(), self.caller.home, below=self.project_dir)

    def path(
        self, node: nodes.Scalar, values: dict[str, str], home: str, below: str | None = None
    ) -> str | None:
        """Return an absolute, clean path; ``~`` is ``home``. Anything else is a problem."""
        text = self.expand(node, values)
        if below is not None and text.split("/")[0] in (".", ".."):
            text = f"{below}/{text}"
        if text == "~" or text.startswith("~/"):
            text = home + text[1:]
        if not text.startswith("/"):
            shown = nodes.describe(node)
            what = f"expected an absolute path or one below ~, found {shown}"
            self.found.problem(node, what, remedy="begin it with / or ~/")
            return None
        if len(text) > _MAX_PATH:
            what = f"a path is longer than {_MAX_PATH} characters"
            self.found.problem(node, what, remedy="shorten it")
            return None
        if any(ord(char) < 32 for char in text):
            what = "a path holds a control character"
            self.found.problem(node, what, remedy="take the character out")
            return None
        return "/" + posixpath.normpath(text).lstrip("/")
