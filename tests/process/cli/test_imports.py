"""What the hot commands load, and how much: a slow import is a defect here."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from tests.process.cli import conftest, fakes

from gaovm.openssh import keygen

# argparse and dataclasses (by way of inspect) cost 10 ms each, the others more
FORBIDDEN = {
    "argparse", "asyncio", "concurrent.futures", "ctypes", "dataclasses", "difflib", "email",
    "h2", "importlib.metadata", "inspect", "logging", "msgspec", "pathlib", "random", "rich",
    "shutil", "subprocess", "tempfile", "threading", "typer", "typing", "urllib", "yaml",
}  # fmt: skip
PROBE = """
import json, sys
before = set(sys.modules)
from gaovm.cli import main
code = main.run(json.loads(sys.argv[1]))
loaded = sorted(set(sys.modules) - before)
json.dump({"code": code, "loaded": loaded}, open(sys.argv[2], "w"))
"""


@pytest.mark.parametrize(
    "words",
    [
        ["ls"],
        ["ls", "--json"],
        ["status"],
        ["exec", "--", "true"],
        ["shell", "--", "true"],
        ["up"],
        ["stop"],
        ["ssh-proxy", "web-dev"],
    ],
    ids=" ".join,
)
def test_a_hot_command_loads_nothing_slow(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver, words: list[str]
) -> None:
    web = fakes.vm("web-dev")
    up = {"vm": web, "created": False, "already": True, "warnings": []}
    daemon.handlers.update(
        {
            "vm.list": lambda params, call: {"vms": [web]},
            "vm.status": lambda params, call: web,
            "vm.stop": lambda params, call: web,
            "vm.up": lambda params, call: up,
        }
    )
    keygen.make(str(gaovm.home), "web-dev")  # the first connection makes keys
    result = gaovm.home / "loaded.json"
    subprocess.run(
        # -S: modules that an installation's .pth files load are not ours
        [sys.executable, "-S", "-c", PROBE, json.dumps(words), str(result)],
        cwd=gaovm.project,
        env=gaovm.environment,
        capture_output=True,
        check=True,
        timeout=30,
    )
    found: dict[str, Any] = json.loads(result.read_text())
    assert found["code"] == 0
    slow = {name for name in found["loaded"] if name in FORBIDDEN}
    assert slow == set()
    assert len(found["loaded"]) <= 75, found["loaded"]
