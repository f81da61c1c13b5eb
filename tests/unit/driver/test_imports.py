"""A driver loads nothing after its fork: by then the disk may hold another version."""

from __future__ import annotations

import json
import subprocess
import sys

# Prints what a warm zygote has loaded, and what its modules would import later.
PROBE = """
import ast, json, sys
from gaovm.driver import backend, main
from gaovm.driver.spawn import warmup, zygote
backend.load_all()
warmup.run(main.set_up_logging())
late = {}
for name, module in sorted(sys.modules.items()):
    if not name.startswith("gaovm"):
        continue
    tree = ast.parse(open(module.__file__).read())
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                found = []
                if isinstance(node, ast.Import):
                    found = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module is not None:
                    found = [f"{node.module}.{alias.name}" for alias in node.names]
                    found = [each if each in sys.modules else node.module for each in found]
                for each in found:
                    if each not in sys.modules:
                        late[f"{name}.{function.name}"] = each
json.dump({"late": late, "loaded": sorted(sys.modules)}, sys.stdout)
"""
# Only the daemon and the command line reach these imports: a driver checks no token and no home.
ELSEWHERE = {"gaovm.ipc.hello._check_token", "gaovm.hostfacts.homes._is_own_group"}
# The standard library loads these when it first needs them.
NEEDED = {
    "traceback",
    "linecache",
    "signal",
    "selectors",
    "subprocess",
    "encodings.utf_8",
    "encodings.ascii",
}


def test_a_warm_zygote_has_loaded_everything_a_driver_needs() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, check=True)
    found = json.loads(done.stdout)
    late = {where: what for where, what in found["late"].items() if where not in ELSEWHERE}
    assert late == {}
    assert NEEDED - set(found["loaded"]) == set()
