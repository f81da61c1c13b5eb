"""What ``up`` refuses of a file that is right in itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.project.reading import CALLER, load, with_image

from gaovm import errors
from gaovm.hostfacts import admission, programs
from gaovm.project import config, context


def admit(text: str, project: Path) -> None:
    host = context.Host("x86_64", str(project.parent / "home" / "vms" / "p-dev"))
    name = "p-dev"
    loaded = config.load(with_image(text), "c.yaml", CALLER, str(project), name, host)
    admission.check(loaded, project.parent / "home")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "p"
    path.mkdir()
    return path


def test_a_playbook_is_refused_by_name(project: Path) -> None:
    text = "provision: [{script: a}, {mode: ansible, playbook: p.yaml}]"
    with pytest.raises(errors.ConfigError, match=r"c.yaml:1: provision\[1\].mode: GaoVM runs no"):
        admit(text, project)
    assert load(with_image(text)).spec.guest.provision


def test_yq_needs_its_program_and_a_format(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "provision: [{mode: yq, path: /etc/a.json, expression: .}]"
    monkeypatch.setattr(programs, "yq", lambda arch: None)
    with pytest.raises(errors.ConfigError, match="has no gaovm-yq for x86_64 guests"):
        admit(text, project)
    monkeypatch.setattr(programs, "yq", lambda arch: Path("/yq"))
    admit(text, project)
    for wrong in (
        text.replace("a.json", "a.conf"),
        text.replace("expression", "format: ini, expression"),
    ):
        with pytest.raises(errors.ConfigError, match="GaoVM edits JSON and YAML"):
            admit(wrong, project)


def test_a_copy_into_gaovm_s_own_directory(project: Path) -> None:
    link = project / "out"
    link.symlink_to(project.parent / "home" / "vms")
    for host in (f"{project.parent}/home/state.db", f"{link}/x"):
        with pytest.raises(errors.ConfigError, match="lies in GaoVM's own directory"):
            admit(f"copyToHost: [{{guest: /a, host: '{host}'}}]", project)
    admit(f"copyToHost: [{{guest: /a, host: '{project}/x'}}]", project)
