"""The modes of ``provision`` on the fake hypervisor, whose exec runs on this host."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.process.driver.harness import Zygote
from tests.process.driver.test_lifecycle import up

OWNER = f"{pwd.getpwuid(os.getuid()).pw_name}:{grp.getgrgid(os.getgid()).gr_name}"


def entry(mode: str, script: str, name: str = "provision[0]", **target: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "mode": mode, "script": script}
    if target:
        found["target"] = {"owner": OWNER, **target}
    return found


async def degraded(zygote: Zygote, base: Path, *entries: dict[str, Any]) -> Any:
    link = await up(zygote, base, {"guest": {"provision": list(entries)}})
    return (await link.until(readiness="degraded"))["error"]


async def test_the_modes_run_in_lima_s_order(zygote: Zygote, base: Path) -> None:
    order, file = base / "order", base / "deep" / "file"
    modes = ("user", "system", "dependency", "boot")
    entries = [entry(mode, f"echo {mode} >> {order}") for mode in modes]
    entries[1] = entry("system", f"cat {file} >> {order}; echo system >> {order}")
    entries.append(entry("data", "data\n", path=str(file), permissions="640"))
    link = await up(zygote, base, {"guest": {"provision": entries}})
    await link.until(readiness="ready")
    assert order.read_text().split() == ["boot", "dependency", "data", "system", "user"]
    assert file.stat().st_mode & 0o7777 == 0o640
    assert [each.name for each in file.parent.iterdir()] == ["file"]  # nothing is left of the write
    log = (base / "vm" / "provision.log").read_text()
    assert log.index("(boot)") < log.index("(dependency)") < log.index("(data)")


async def test_boot_scripts_run_before_the_distribution_has_booted(
    zygote: Zygote, base: Path
) -> None:
    link = await up(zygote, base, {"guest": {"provision": [entry("boot", "echo early")]}})
    await link.until(readiness="ready")
    phases = [told["phase"] for told in link.progress]
    assert phases.index("provision") < phases.index("system")


async def test_a_file_that_exists_stays_unless_it_is_overwritten(
    zygote: Zygote, base: Path
) -> None:
    kept, replaced, linked = (base / name for name in ("kept", "replaced", "linked"))
    for path in (kept, replaced):
        path.write_text("old")
    linked.symlink_to(replaced)
    entries = [
        entry("data", "new", "a", path=str(kept), overwrite=False),
        entry("data", "new", "b", path=str(linked)),
    ]
    link = await up(zygote, base, {"guest": {"provision": entries}})
    await link.until(readiness="ready")
    assert (kept.read_text(), replaced.read_text()) == ("old", "new")
    assert linked.is_symlink()


@pytest.mark.parametrize("mode", ["boot", "dependency", "system", "user"])
async def test_a_failure_names_the_script_its_mode_and_status(
    zygote: Zygote, base: Path, mode: str
) -> None:
    error = await degraded(zygote, base, entry(mode, "echo last words; exit 7", "provision[4]"))
    assert error["code"] == "provision_failed"
    assert error["message"] == f"provision[4] (mode {mode}) ended with status 7\n  last words"


async def test_a_path_that_cannot_be_written_is_named(zygote: Zygote, base: Path) -> None:
    error = await degraded(zygote, base, entry("data", "x", path=str(base)))
    assert error["message"].startswith("provision[0] (mode data) ended with status 82")
    assert error["details"]["tail"] == [f"{base} is a directory"]


async def test_files_are_brought_into_the_vm_s_directory(zygote: Zygote, base: Path) -> None:
    (base / "conf").write_bytes(b"a\0b")
    (base / "conf").chmod(0o644)
    copies = [
        {"name": "copyToHost[0]", "guest": str(base / "conf"), "host": "/x/y"},
        {"name": "copyToHost[1]", "guest": str(base / "no"), "host": "/x", "skip_if_missing": True},
    ]
    link = await up(zygote, base, {"guest": {"copies": copies}})
    await link.until(readiness="ready")
    kept = base / "vm" / "copies"
    assert [each.name for each in kept.iterdir()] == ["0"]
    assert (kept / "0").read_bytes() == b"a\0b"
    assert (kept / "0").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: None, "there is no such file in the guest"),
        (lambda path: path.mkdir(), "it is no regular file"),
    ],
)
async def test_a_file_that_cannot_be_copied_degrades_the_vm(
    zygote: Zygote, base: Path, make: Callable[[Path], None], why: str
) -> None:
    make(base / "conf")
    copies = [{"name": "copyToHost[0]", "guest": str(base / "conf"), "host": "/x/y"}]
    link = await up(zygote, base, {"guest": {"copies": copies}})
    error = (await link.until(readiness="degraded"))["error"]
    assert error["message"].startswith(f"copyToHost[0]: {base}/conf: ")
    assert why in error["message"]
    assert list((base / "vm" / "copies").iterdir()) == []


async def test_a_script_may_run_as_long_as_its_limit(zygote: Zygote, base: Path) -> None:
    spec = {
        "guest": {"provision": [entry("system", "echo begun; sleep 60")]},
        "supervision": {"set_up": {"script_s": 0.5}},
    }
    link = await up(zygote, base, spec)
    error = (await link.until(readiness="degraded"))["error"]
    assert error["message"].startswith("provision[0] (mode system) did not end within 0.5 s")


async def test_a_probe_s_limit_is_the_config_s(zygote: Zygote, base: Path) -> None:
    probe = {"description": "web", "script": "#!/bin/sh\necho looked; exit 1", "hint": "see it"}
    spec = {"guest": {"probes": [probe]}, "supervision": {"set_up": {"probe_s": 0.3}}}
    link = await up(zygote, base, spec)
    error = (await link.until(readiness="degraded"))["error"]
    assert error["message"].startswith("web did not pass within 0.3 s: see it\n  looked")
    assert isinstance(error["details"]["guest_log"], list)
