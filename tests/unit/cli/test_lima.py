"""The parts of ``gaovm lima`` that need neither a daemon nor a program."""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.process.cli import fakes

from gaovm import errors
from gaovm.cli import options
from gaovm.cli.lima import editflags, homes, instances, main, refused, say, verb
from gaovm.cli.lima.verbs import entering, listing
from gaovm.project.lima import flags, versions

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (1 << 20, "1MiB"), (3 << 29, "1.5GiB"), (4 << 30, "4GiB"), (1000 << 30, "1000GiB")],
)
def test_sizes_are_lima_s(count: int, text: str) -> None:
    assert instances.size(count) == text


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "Running"),
        ({"state": "degraded"}, "Running"),
        ({"state": "stopped", "driver_pid": None}, "Stopped"),
        ({"state": "failed"}, "Broken"),
        ({"state": "first-up-failed"}, "Broken"),
        ({"state": "starting"}, "Running"),
        ({"state": "restarting", "driver_pid": None}, "Stopped"),
    ],
)
def test_a_state_has_one_of_three_words(changes: dict[str, Any], word: str) -> None:
    assert instances.status(fakes.vm("web", **changes)) == word


def test_a_broken_instance_says_why() -> None:
    failure = {"message": "no disk"}
    shown = instances.instance(fakes.vm("web", state="failed", last_error=failure), None)
    assert shown["errors"][0] == "no disk" and "cannot be read" in shown["errors"][1]
    assert "config" not in shown and shown["protected"] is False


def test_the_version_is_that_of_the_format() -> None:
    assert instances.LIMA_VERSION == versions.LIMA
    assert versions.LIMA in main.version()


def test_a_narrow_terminal_loses_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    vms = [fakes.vm("web"), fakes.vm("a-name-that-is-long")]
    monkeypatch.setattr(listing, "_terminal_width", lambda: 72)
    head = listing.table(vms).partition("\n")[0]
    assert "ARCH" not in head and "NAME" in head and "STATUS" in head
    assert max(map(len, listing.table(vms).splitlines())) <= 72
    assert listing.table(vms, all_fields=True).split("\n")[0].split() == list(listing.HEAD)


@pytest.mark.parametrize("word", ["a", "", "a b", "it's", "$HOME", "a;b", "ü", "-x=1"])
def test_a_word_stays_one_word(word: str) -> None:
    assert shlex.split(entering.quote(word)) == [word]


def test_what_a_shell_runs() -> None:
    assert entering.command([], None) == []
    assert entering.command([], "/bin/zsh") == ["/bin/zsh", "-l"]
    line = entering.command(["A=1", "B=x y", "env", "C=3 4"], None)[-1]
    assert line == "A=1 B='x y' env 'C=3 4'"
    assert entering.command(["ls", "a b"], "/bin/zsh") == ["/bin/zsh", "-l", "-c", "ls 'a b'"]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, ["EXTRA"]),
        ({"LIMA_SHELLENV_BLOCK": "+EX*"}, []),
        ({"LIMA_SHELLENV_BLOCK": "EXTRA"}, ["HOME", "SSH_AUTH_SOCK"]),
        ({"LIMA_SHELLENV_BLOCK": "*"}, []),
        ({"LIMA_SHELLENV_ALLOW": "SSH_*, H*E"}, ["HOME", "SSH_AUTH_SOCK"]),
        ({"LIMA_SHELLENV_BLOCK": "*", "LIMA_SHELLENV_ALLOW": "EXTRA"}, ["EXTRA"]),
    ],
)
def test_which_variables_are_passed_on(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], kept: list[str]
) -> None:
    known = {"EXTRA": "1", "HOME": "/h", "SSH_AUTH_SOCK": "/s"}
    monkeypatch.setattr("os.environ", {**known, **settings})
    assert [name for name in entering.environment(say.Log()) if name in known] == kept


def test_a_pattern_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMA_SHELLENV_ALLOW", "A,B-C")
    with pytest.raises(errors.UsageError, match="Invalid LIMA_SHELLENV_ALLOW pattern: 'B-C'"):
        entering.environment(say.Log())


def test_switches_take_true_and_false() -> None:
    given = main.load("create").parse(["--mount-writable=true", "--plain=false", "--tty=false"])
    assert given.flag("mount-writable") and not given.flag("plain") and given.flag("no-tty")
    assert editflags.words(given) == ["--mount-writable", "true", "--plain", "false"]
    with pytest.raises(errors.UsageError, match="expected true or false"):
        main.load("create").parse(["--plain=maybe"])


def test_every_flag_that_edits_has_an_expression() -> None:
    values = {
        "--network": "vzNAT",
        "--containerd": "user",
        "--port-forward": "1:2",
        "--param": "a=b",
    }
    for option in (*editflags.EDIT, *editflags.CREATE):
        name = option.names[-1]
        words = main.load("create").parse(
            [name, *([values.get(name, "1")] if option.value else [])]
        )
        found = editflags.words(words)
        assert not found or flags.expression(found)


@pytest.mark.parametrize(
    ("words", "expression"),
    [
        (
            ["--mount", "~/a:w,/b"],
            '.mounts += [{"location": "~/a", "writable": true},{"location": "/b", "writable": '
            "false}] | .mounts |= unique_by(.location)",
        ),
        (["--containerd", "none"], ".containerd.user = false | .containerd.system = false"),
        (
            ["--port-forward", "8080:80,static=true"],
            '.portForwards += [{"guestPort": 80, "hostPort": 8080, "static": true}]',
        ),
        (["--param", 'a=x"y'], '.param.a = "x\\"y"'),
        (["--set", ".a = 1", "--set", ".b = 2"], ".a = 1 | .b = 2"),
        (["--mount-none", "false"], ""),
    ],
)
def test_expressions_of_flags(words: list[str], expression: str) -> None:
    assert flags.expression(words) == expression


@pytest.mark.parametrize(
    "words",
    [
        ["--cpus", "1 | .a = 2"],
        ["--memory", "lots"],
        ["--plain", "perhaps"],
        ["--containerd", "some"],
        ["--param", "1a=b"],
        ["--port-forward", "a:80"],
    ],
    ids=" ".join,
)
def test_a_value_that_is_none_is_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match=re.escape(words[1][:3])):
        flags.expression(words)


def test_lines_of_the_log() -> None:
    stream = io.StringIO()
    log = say.Log("info", "text", stream)
    log.debug("hidden")
    log.warning('a "b"\n\x1b[31mc')
    log.info("one")
    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(r'time="\d{4}-\S+" level=warning msg="a \\"b\\"\\n\[31mc"', first)
    assert second.endswith("level=info msg=one")


def test_global_flags_may_come_first() -> None:
    assert verb.leading(["--log-level", "error", "--tty=false", "list", "-q"]) == (
        ["--log-level", "error", "--tty=false"],
        ["list", "-q"],
    )
    assert verb.leading(["--version"]) == ([], ["--version"])


@pytest.mark.parametrize("name", main.VERBS)
def test_every_verb_has_a_help(name: str) -> None:
    text = main.load(name).help()
    assert f"gaovm lima {name}" in text or f"{name} " in text
    assert isinstance(main.load(name), options.Command)


def test_every_alias_is_of_a_verb_and_no_verb_is_refused() -> None:
    assert set(main.ALIASES.values()) <= set(main.VERBS)
    assert not {*main.VERBS, *main.ALIASES} & set(refused.REASONS)


@pytest.mark.parametrize(("word", "reason"), refused.REASONS.items())
def test_a_verb_that_is_refused_says_why(word: str, reason: str) -> None:
    with pytest.raises(errors.UsageError, match=re.escape(reason)):
        main.find(word)


def test_a_verb_that_is_misspelt_gets_a_proposal() -> None:
    with pytest.raises(errors.UsageError, match='unknown command "strt"') as caught:
        main.find("strt")
    assert "gaovm lima start" in str(caught.value.remedy)


def test_which_vms_are_instances(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = fakes.vm(
        "own", project=str(tmp_path / "own"), config_path=str(tmp_path / "own" / "lima.yaml")
    )
    other = fakes.vm("other")
    monkeypatch.setenv("LIMA_HOME", str(tmp_path))
    assert homes.instances([own, other]) == [own]
    monkeypatch.delenv("LIMA_HOME")
    assert homes.instances([own, other]) == [own, other]


def test_the_licenses_name_every_module() -> None:
    text = (ROOT / "yq" / "licenses.txt").read_text()
    linked = re.findall(r"^=+\n(\S+) (v\S+)\n=+$", text, re.M)
    module = (ROOT / "yq" / "go.mod").read_text()
    assert ("github.com/mikefarah/yq/v4", "v4.49.2") in linked
    for name, version in linked:
        assert f"{name} {version}" in module
