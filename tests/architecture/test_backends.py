"""The seam between shared code and each back end: names, types and the table."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import gaovm.builder.qemu.build
import gaovm.testing.toy.build
import gaovm.testing.toy.manager
import gaovm.vmmanager.qemu.manager
from gaovm import errors
from gaovm.builder import backends
from gaovm.driver import backend

SOURCE = Path(__file__).resolve().parents[2] / "src" / "gaovm"
#: Packages that every back end shares; they name no back end, not even in a comment.
NEUTRAL = ("cli", "driver", "hostfacts", "model", "spec")
NAMES = re.compile(r"qemu|qmp", re.IGNORECASE)

# mypy checks that the modules have these types
BUILDERS: tuple[backends.Builder, ...] = (gaovm.builder.qemu.build, gaovm.testing.toy.build)
MANAGERS: tuple[backend.Backend, ...] = (
    gaovm.vmmanager.qemu.manager,
    gaovm.testing.toy.manager,
)


@pytest.mark.parametrize("package", NEUTRAL)
def test_shared_packages_name_no_back_end(package: str) -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{number}: {line.strip()}"
        for path in sorted((SOURCE / package).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if NAMES.search(line)
    ]
    assert found == []


def test_the_table_names_existing_modules() -> None:
    for row in backends.present():
        assert callable(backends.builder(row.name).build)
        manager = backend.of(row.name)
        assert callable(manager.create) and callable(manager.rehearse)
    for row in backends.BACKENDS:
        assert bool(row.builder) == bool(row.manager) == row.present


def test_only_tests_know_the_toy() -> None:
    assert "toy" not in {row.name for row in backends.BACKENDS}
    with pytest.raises(errors.ConfigError, match="no back end toy"):
        backends.find("toy")
    assert backends.find("") is backends.find("qemu")


def test_the_toy_comes_with_its_zygote(monkeypatch: pytest.MonkeyPatch) -> None:
    zygote = importlib.import_module("gaovm.testing.toy.zygote")
    monkeypatch.setattr(backends, "BACKENDS", backends.BACKENDS)
    zygote.register()
    assert backends.find("") is backends.find("toy") is zygote.TOY
    assert backends.builder("toy") is gaovm.testing.toy.build
