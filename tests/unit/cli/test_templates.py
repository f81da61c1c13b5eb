"""``gaovm template`` and ``gaovm init`` with the user's own templates. No daemon runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gaovm.cli import completing, main
from gaovm.hostfacts import templates
from gaovm.project import fields, nodes
from gaovm.project import templates as shipped

MINE = "# mine\nbase: template:_parts/image\ncpus: 3\nprovision:\n- file: x.sh\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a template, its base, and a directory to work in."""
    directory = tmp_path / "home" / "templates"
    (directory / "_parts").mkdir(parents=True)
    (directory / "more").mkdir()
    (directory / "mine.yaml").write_text(MINE)
    (directory / "x.sh").write_text("#!/bin/sh\necho {{.User}}\n")
    (directory / "_parts" / "image.yaml").write_text('images:\n- location: "debian:12"\n')
    (directory / "more" / "other.yaml").write_text("base: template:minimal\n")
    (tmp_path / "web").mkdir()
    monkeypatch.setenv("GAOVM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "web")
    return tmp_path / "home"


def test_ls_has_ours_and_the_user_s(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["template", "ls", "--json"]) == 0
    found = {each["name"]: each["path"] for each in json.loads(capsys.readouterr().out)}
    mine = str(home / "templates" / "mine.yaml")
    other = str(home / "templates" / "more" / "other.yaml")
    ours = dict.fromkeys(shipped.NAMES)
    assert found == {**ours, "mine": mine, "more/other": other}
    assert main.run(["template", "ls"]) == 0
    assert f"mine            {mine}\n" in capsys.readouterr().out


def test_a_home_without_templates_has_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GAOVM_HOME", str(tmp_path / "none"))
    assert main.run(["template", "ls"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:]] == [[n, "gaovm"] for n in sorted(shipped.NAMES)]
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("word", ["mine", "template:mine", "../home/templates/mine.yaml"])
def test_show_prints_the_text(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["template", "show", word]) == 0
    assert capsys.readouterr().out == MINE


def test_show_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["template", "show", "--embed", "mine"]) == 0
    tree = nodes.parse(capsys.readouterr().out)
    assert set(tree.entries) == {"cpus", "images", "provision"}
    (entry,) = fields.tables(tree, "provision")
    assert fields.text(entry, "script") == "#!/bin/sh\necho {{.User}}\n"


def test_a_copy_keeps_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "web" / "copy.yaml"
    assert main.run(["template", "copy", "mine", "copy.yaml"]) == 0
    assert target.read_text() == MINE
    assert main.run(["template", "copy", "minimal", "copy.yaml"]) == 2
    assert target.read_text() == MINE
    assert main.run(["template", "copy", "--force", "--embed", "mine", "copy.yaml"]) == 0
    assert "base" not in target.read_text()
    capsys.readouterr()
    assert main.run(["template", "copy", "mine", "-"]) == 0
    assert capsys.readouterr().out == MINE
    assert main.run(["template", "copy", "mine", "none/copy.yaml"]) == 1


def test_a_copy_goes_through_no_link_that_a_guest_laid(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("keys")
    (tmp_path / "web" / "copy.yaml").symlink_to(precious)
    (tmp_path / "web" / "linked").symlink_to(tmp_path)
    assert main.run(["template", "copy", "mine", "copy.yaml"]) == 2
    assert main.run(["template", "copy", "--force", "mine", "copy.yaml"]) == 0
    assert main.run(["template", "copy", "mine", "linked/precious", "--force"]) == 1
    assert precious.read_text() == "keys"
    assert (tmp_path / "web" / "copy.yaml").read_text() == MINE


def test_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "web" / "bad.yaml").write_text("base: part.yaml\ncpus: two\n")
    (tmp_path / "web" / "part.yaml").write_text('images: [{location: "debian:12"}]\nmemory: x\n')
    assert main.run(["template", "validate", "mine", "dev", "more/other"]) == 0
    assert capsys.readouterr().out == "mine: OK\ndev: OK\nmore/other: OK\n"
    assert main.run(["template", "validate", "mine", "bad.yaml"]) == 2
    shown = capsys.readouterr()
    assert shown.out == "mine: OK\n"
    directory = tmp_path / "web"
    assert f"{directory}/bad.yaml:2: cpus: expected a whole number, found `two`\n" in shown.err
    assert f"{directory}/part.yaml:2: memory: has an invalid value" in shown.err
    assert shown.err.count("  remedy: ") == 2
    assert sorted(path.name for path in directory.iterdir()) == ["bad.yaml", "part.yaml"]


def test_validate_as_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "web" / "a.yaml").write_text("images: [{location: 'debian:99'}]\ntpm: true\n")
    (tmp_path / "web" / "b.yaml").write_bytes(b"cpus: 1\n\xff\n")
    assert main.run(["template", "validate", "a.yaml", "b.yaml", "mine", "--json"]) == 2
    first, second, third = json.loads(capsys.readouterr().out)
    assert "unknown image 'debian:99'" in first["problems"][0]["text"]
    assert "b.yaml:2: not UTF-8" in second["problems"][0]["text"]
    assert all(each["problems"][0]["remedy"] for each in (first, second))
    assert third == {"template": "mine", "valid": True, "problems": [], "warnings": []}


def test_a_name_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["template", "show", "mien"], ["init", "mien"], ["template", "show", "a//b"]):
        assert main.run(words) == 2
    shown = capsys.readouterr().err
    assert shown.count("there is no template 'mien'") == 2
    assert shown.count("did you mean mine?") == 2
    assert shown.count("gaovm template ls") == 3


def test_init_takes_the_user_s_template_first(home: Path, tmp_path: Path) -> None:
    (home / "templates" / "dev.yaml").write_text('env: {A: "{{PROJECT_NAME}}"}\n')
    assert main.run(["init"]) == 0
    config = tmp_path / "web" / ".lima" / "config.yaml"
    assert config.read_text() == 'env: {A: "web"}\n'
    assert main.run(["init", "--force", "more/other"]) == 0
    assert config.read_text() == "base: template:minimal\n"


def test_names_are_completed(capsys: pytest.CaptureFixture[str]) -> None:
    completing.run(["init", "m"])
    assert {"mine", "minimal", "more/other"} <= set(
        line.partition("\t")[0] for line in capsys.readouterr().out.splitlines()
    )


def test_a_file_is_completed_too(capsys: pytest.CaptureFixture[str]) -> None:
    completing.run(["template", "validate", "mi"])
    words = [line.partition("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert {completing.FILES, "mine"} <= set(words)


def test_the_list_is_bounded(tmp_path: Path) -> None:
    directory = tmp_path / "many" / "templates"
    deep = directory.joinpath(*"abcdefgh")
    deep.mkdir(parents=True)
    (deep / "x.yaml").touch()
    for number in range(600):
        (directory / f"t{number}.yaml").touch()
    assert len(templates.listed(str(tmp_path / "many"))) <= 500 + len(shipped.NAMES)
