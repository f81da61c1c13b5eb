"""``sysinit-vm init``: its questions, its files, and any directory's name."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.process.cli import conftest
from tests.process.cli.sysinit import VECTORS, Sysinit, directory

from gaovm.project import templates


def config_of(project: Path) -> Any:
    return yaml.safe_load((project / ".lima" / "config.yaml").read_text())


@pytest.mark.parametrize("template", ["", *templates.NAMES])
def test_init_makes_both_files_with_both_placeholders_replaced(
    sysinit: Sysinit, tmp_path: Path, template: str
) -> None:
    project = directory(tmp_path, "test-app1")
    done = sysinit("init", *filter(None, [template]), cwd=project)
    assert done.returncode == 0, done.stderr
    made = VECTORS["commands"]["init [template=dev]"]["creates"]
    assert {str(p.relative_to(project)) for p in project.rglob("*") if p.is_file()} == set(made)
    assert (project / ".lima/.gitignore").read_text().splitlines() == VECTORS["gitignore"]
    text = (project / ".lima/config.yaml").read_text()
    for placeholder in VECTORS["commands"]["init [template=dev]"]["substitutes"]:
        assert placeholder not in text
    config = yaml.safe_load(text)
    assert config["mounts"] == [{"location": str(project), "writable": True}]
    assert config["env"]["PROJECT_NAME"] == config["env"]["ZELLIJ_SESSION"] == "test-app1"
    assert config["base"][0] == f"template:{template or 'dev'}"
    said = done.stdout.decode().splitlines()
    assert said[:2] == [
        "[INFO] Lima VM config created at .lima/config.yaml",
        "[INFO] VM name: test-app1-dev",
    ]
    assert "[INFO]   2. Start VM: sysinit-vm start" in said


@pytest.mark.parametrize(
    "name", ["a|b & c", 'quo"te', "back\\1", "{{PROJECT_DIR", "ümlaut", "a\nb"]
)
def test_init_takes_any_directory_name_literally(
    sysinit: Sysinit, tmp_path: Path, name: str
) -> None:
    project = directory(tmp_path, name)
    done = sysinit("init", cwd=project)
    if "{{" in name:
        assert (done.returncode, b"rename the directory" in done.stderr) == (1, True)
        assert not (project / ".lima").exists()
        return
    assert done.returncode == 0, done.stderr
    assert config_of(project)["mounts"][0]["location"] == str(project)
    assert config_of(project)["env"]["PROJECT_NAME"] == name


def test_what_init_writes_is_a_config(sysinit: Sysinit, gaovm: conftest.Gaovm) -> None:
    for template in templates.NAMES:
        assert sysinit("init", template, stdin=b"y\n").returncode == 0
        done = gaovm("template", "validate", ".lima/config.yaml")
        assert done.returncode == 0, done.stderr
        assert done.stderr == b"" or template not in ("dev", "minimal")


@pytest.mark.parametrize("case", VECTORS["names"], ids=lambda case: str(case["project"]))
def test_the_vm_has_the_name_of_the_case(
    sysinit: Sysinit, tmp_path: Path, case: dict[str, Any]
) -> None:
    """A name that is no identifier becomes the nearest one, and ``init`` says so."""
    project = directory(tmp_path, case["project"])
    done = sysinit("init", cwd=project, env=case["env"])
    name = case["vm"].replace(" ", "-")
    assert f"[INFO] VM name: {name}\n".encode() in done.stdout
    warned = b"[WARN] 'my app-dev' is no VM name: it has letters and digits" in done.stdout
    assert warned == (name != case["vm"])


def test_init_refuses_a_vm_name_that_is_none(sysinit: Sysinit, tmp_path: Path) -> None:
    project = directory(tmp_path, "fresh")
    done = sysinit("init", cwd=project, env={"VM_NAME": "my vm"})
    assert (done.returncode, b"[ERROR] 'my vm' is not a valid VM name" in done.stderr) == (1, True)
    assert list(project.iterdir()) == []


def test_three_projects_give_three_names(sysinit: Sysinit, tmp_path: Path) -> None:
    names = set()
    for number in (1, 2, 3):
        project = directory(tmp_path, f"multi-test-{number}")
        said = sysinit("init", cwd=project).stdout.decode()
        names.add(said.partition("VM name: ")[2].partition("\n")[0])
    assert names == {"multi-test-1-dev", "multi-test-2-dev", "multi-test-3-dev"}


@pytest.mark.parametrize(
    ("answer", "code", "replaced"),
    [(b"y\n", 0, True), (b"Y\n", 0, True), (b"n\n", 0, False), (b"\n", 0, False), (b"", 1, False)],
)
def test_init_asks_before_it_overwrites(
    sysinit: Sysinit, answer: bytes, code: int, replaced: bool
) -> None:
    """Upstream's script also exits 1 at the end of input, but without a word."""
    config = sysinit.project / ".lima" / "config.yaml"
    before = config.read_text()
    done = sysinit("init", stdin=answer)
    assert done.returncode == code
    assert b"[WARN] .lima/config.yaml already exists" in done.stdout
    assert b"Overwrite? (y/N) " in done.stderr
    assert (config.read_text() != before) == replaced
    assert (b"[ERROR] Nobody answered" in done.stderr) == (answer == b"")


def test_init_knows_its_templates(sysinit: Sysinit, tmp_path: Path) -> None:
    project = directory(tmp_path, "fresh")
    done = sysinit("init", "nonsense", cwd=project)
    assert done.returncode == 1
    assert b"[ERROR] there is no template 'nonsense'" in done.stderr and b"minimal" in done.stderr
    assert not (project / ".lima").exists()


@pytest.mark.parametrize(
    ("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_are_for_terminals(
    sysinit: Sysinit, tmp_path: Path, env: dict[str, str], coloured: bool
) -> None:
    ours, side = os.openpty()
    done = subprocess.Popen(
        sysinit.argv("init"),
        cwd=directory(tmp_path, "fresh"),
        env={**sysinit.environment, **env},
        stdin=subprocess.DEVNULL,
        stdout=side,
        stderr=side,
    )
    os.close(side)
    text = read_all(lambda: os.read(ours, 65536))
    os.close(ours)
    assert done.wait() == 0
    want = b"\x1b[0;32m[INFO]\x1b[0m VM name" if coloured else b"\n[INFO] VM name"
    assert want in text
    assert (b"\x1b" in text) == coloured


def read_all(block: Callable[[], bytes]) -> bytes:
    """Read a terminal until its other side is closed, which is an error there."""
    found = b""
    try:
        while data := block():
            found += data
    except OSError:
        pass
    return found
