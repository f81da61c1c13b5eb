"""``gaovm init`` and ``sysinit-vm init`` in a project that shows what it is made with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.process.cli import conftest
from tests.process.cli.sysinit import Sysinit, directory
from tests.process.cli.test_sessions import Terminal

HINT = b"init --detect` puts these packages and ports into the config"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    project = directory(tmp_path, "shop")
    (project / "package.json").write_text('{"scripts": {"dev": "vite"}}')
    return project


def forwards(project: Path) -> list[int]:
    config: dict[str, Any] = yaml.safe_load((project / ".lima/config.yaml").read_text())
    return [rule["guestPort"] for rule in config.get("portForwards", [])]


def test_without_a_terminal_it_is_named_and_left(gaovm: conftest.Gaovm, node: Path) -> None:
    done = gaovm("init", "minimal", cwd=node)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Node.js    package.json  nodejs npm  5173 (Vite: npm run dev)\n" in done.stdout
    assert HINT in done.stdout
    assert forwards(node) == []


def test_detect_puts_it_in(gaovm: conftest.Gaovm, node: Path) -> None:
    done = gaovm("init", "minimal", "--detect", cwd=node)
    assert (done.returncode, HINT in done.stdout) == (0, False)
    assert forwards(node) == [5173]
    assert gaovm("template", "validate", ".lima/config.yaml", cwd=node).returncode == 0


def test_no_detect_does_not_look(gaovm: conftest.Gaovm, node: Path) -> None:
    done = gaovm("init", "minimal", "--no-detect", cwd=node)
    assert (done.returncode, b"Node.js" in done.stdout) == (0, False)
    done = gaovm("init", "--detect", "--no-detect", "-f", cwd=node)
    assert (done.returncode, b"exclude each other" in done.stderr) == (2, True)


def test_json_has_the_result_alone(gaovm: conftest.Gaovm, node: Path) -> None:
    (node / "go.mod").mkdir()
    result = json.loads(gaovm("init", "minimal", "--json", "--detect", cwd=node).stdout)
    assert result == {
        "config": str(node / ".lima" / "config.yaml"),
        "template": "minimal",
        "detected": [
            {
                "name": "Node.js",
                "files": ["package.json"],
                "packages": ["nodejs", "npm"],
                "ports": [{"port": 5173, "why": "Vite: npm run dev"}],
                "notes": [],
            }
        ],
        "unread": {"go.mod": "not a regular file"},
        "added": True,
    }
    result = json.loads(gaovm("init", "-f", "--json", cwd=node).stdout)
    assert (result["added"], len(result["detected"])) == (False, 1)
    assert gaovm("init", "-f", "--json", "--taskfile", cwd=node).returncode == 2


@pytest.mark.parametrize(("answer", "taken"), [(b"\r", True), (b"y\r", True), (b"n\r", False)])
@pytest.mark.parametrize(("program", "hint"), [("gaovm", b"[Y/n] "), ("sysinit", b"(Y/n) ")])
def test_a_terminal_is_asked_once(
    gaovm: conftest.Gaovm,
    sysinit: Sysinit,
    node: Path,
    program: str,
    hint: bytes,
    answer: bytes,
    taken: bool,
) -> None:
    asked = sysinit if program == "sysinit" else gaovm
    asked.project = node
    terminal = Terminal(asked, "init", "minimal")
    terminal.expect(b"Put these packages and ports into the config? " + hint)
    terminal.send(answer)
    terminal.expect(b".lima/config.yaml")
    assert terminal.child.wait(20) == 0
    terminal.close()
    assert ("nodejs npm" in (node / ".lima/config.yaml").read_text()) == taken


def test_sysinit_takes_the_options_too(sysinit: Sysinit, node: Path) -> None:
    done = sysinit("init", cwd=node)
    assert (done.returncode, HINT in done.stdout) == (0, True)
    done = sysinit("init", "--detect", "minimal", cwd=node, stdin=b"y\n")
    assert done.returncode == 0, done.stderr
    assert forwards(node) == [5173], "the template forwards this port already"
    assert "nodejs npm" in (node / ".lima/config.yaml").read_text()
    done = sysinit("init", "--no-detect", cwd=node, stdin=b"y\n")
    assert (done.returncode, b"Node.js" in done.stdout) == (0, False)
    for wrong, said in (("--nonsense", b"Unknown option"), ("a b", b"Unexpected word: b")):
        done = sysinit("init", *wrong.split(), cwd=node)
        assert (done.returncode, said in done.stderr) == (1, True)


def test_a_template_in_one_line_is_left_with_a_word(gaovm: conftest.Gaovm, node: Path) -> None:
    (gaovm.home / "templates").mkdir()
    (gaovm.home / "templates" / "flat.yaml").write_text(
        'images: [{location: "debian:12"}]\nportForwards: [{guestPort: 1}]\n'
    )
    done = gaovm("init", "flat", "--detect", cwd=node)
    assert (done.returncode, b"add these by hand" in done.stderr) == (0, True)
    assert forwards(node) == [1]
