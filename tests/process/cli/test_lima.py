"""``gaovm lima`` with a real daemon: what scripts of Lima's users call and read.

The cases are those of Lima's own tests that start nothing: list, protect, param, yq, shell.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.process.cli.conftest import Gaovm
from tests.process.cli.limactl import Limactl

ROOT = Path(__file__).parents[3]
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def limactl(home: Path, project: Path) -> Iterator[Limactl]:
    made = Limactl(home, project)
    try:
        yield made
    finally:
        made.stop_daemon()


@pytest.fixture
def three(limactl: Limactl) -> Limactl:
    for name, size in (("foo", "1M"), ("bar", "2M"), ("baz", "3M")):
        limactl.create(name, disk=size)
    return limactl


def test_an_empty_list_is_a_warning_and_no_failure(limactl: Limactl) -> None:
    done = limactl("list")
    assert done.returncode == 0 and done.stdout == b""
    expected = 'level=warning msg="No instance found. Run `limactl create` to create an instance."'
    assert expected in done.stderr.decode()


def test_the_table_and_names(three: Limactl) -> None:
    head, *lines = three.good("ls").splitlines()
    assert head.split() == [
        "NAME",
        "STATUS",
        "SSH",
        "VMTYPE",
        "ARCH",
        "CPUS",
        "MEMORY",
        "DISK",
        "DIR",
    ]
    assert [line.split()[:2] for line in lines] == [
        [name, "Stopped"] for name in ("bar", "baz", "foo")
    ]
    assert [line.split()[7] for line in lines] == ["2MiB", "3MiB", "1MiB"]
    assert three.good("list", "--quiet", "foo", "bar") == "foo\nbar"
    assert [line.split()[0] for line in three.good("ls", "foo", "bar").splitlines()[1:]] == [
        "foo",
        "bar",
    ]


def test_an_unknown_name_fails_after_the_known_ones(three: Limactl) -> None:
    done = three("ls", "foo", "foobar", "bar")
    said = done.stderr.decode()
    assert done.returncode == 1
    assert 'level=warning msg="No instance matching foobar found."' in said
    assert 'level=fatal msg="unmatched instances"' in said
    assert [line.split()[0] for line in done.stdout.decode().splitlines()] == ["NAME", "foo", "bar"]


def test_json_yaml_and_what_a_terminal_gets_are_the_same(three: Limactl) -> None:
    text = three.good("ls", "foo", "bar", "--format", "json")
    assert text == three.good("ls", "foo", "bar", "--json")
    first, second = map(json.loads, text.splitlines())
    assert text.startswith('{"name":"foo",') and second["name"] == "bar"
    assert first["disk"] == 1 << 20 and first["config"]["disk"] == "1M"
    assert first["dir"] == str(three.lima_home / "foo") and first["protected"] is False
    yaml = three.good("ls", "foo", "bar", "--format", "yaml")
    again = ("yq", "--input-format", "yaml", "--output-format", "json", "--indent", "0", ".")
    assert three.good(*again, stdin=yaml.encode()) == text
    for form, words in (("json", ("--input-format", "json")), ("yaml", ())):
        shown = three.good("ls", "foo", "bar", "--format", form, env={"_LIMA_OUTPUT_IS_TTY": "1"})
        assert "\x1b[0m" in shown
        flat = ("yq", *words, "--output-format", "json", "--indent", "0", ".")
        assert three.good(*flat, stdin=COLOUR.sub("", shown).encode()) == text


def test_go_templates(three: Limactl) -> None:
    assert three.good("ls", "foo", "bar", "--format", "{{.Name}} {{.Disk}}") == (
        "foo 1048576\nbar 2097152"
    )
    assert three.good("ls", "foo", "--format", "{{.Config.Disk}} {{.Config.SSH.LocalPort}}") == (
        "1M 0"
    )
    names = three.good("ls", "--list-fields").splitlines()
    assert {"Name", "CPUs", "Memory"} <= set(names) and "HostArch" not in names
    assert all(re.fullmatch(r"[A-Z]\w*", name) for name in names)
    assert three.good("ls", "foo", "--format", "{{.LimaHome}}") == str(three.lima_home)
    done = three("ls", "foo", "--format", "{{.Unknown}}")
    assert done.returncode == 1 and done.stdout == b""
    assert re.search(r"level=fatal.*can't evaluate field Unknown", done.stderr.decode())


def test_yq_on_a_list(three: Limactl) -> None:
    assert json.loads(three.good("ls", "baz", "--yq", ".config"))["disk"] == "3M"
    assert "disk: 3M" in three.good("ls", "baz", "--yq", ".config", "--format", "yaml").split("\n")
    uid = three.good("ls", "foo", "--yq", ".config", "--yq", ".user", "--yq", ".uid")
    assert uid == str(os.getuid())
    found = three.good("ls", "--yq", "select(.disk > 1024*1024)", "--yq", 'select(.name|test("z"))')
    assert json.loads(found)["name"] == "baz"
    assert three.good("ls", "--quiet", "--yq", 'select(.name == "foo")') == "foo"
    assert three.good("ls", "-q", "--filter", ".disk > 1048576", "-l", '.name != "baz"') == "bar"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--quiet", "--format", "json"), "option --quiet can only be used with '--format table'"),
        (("--quiet", "-f", "{{.Name}}"), "option --quiet can only be used with '--format table'"),
        (("--yq", ".name", "--format", "table"), "option --yq only works with --format json"),
        (("--yq", ".name", "-f", "{{.Name}}"), "option --yq only works with --format json or yaml"),
        (("--json", "--format", "yaml"), "option --json conflicts with option --format"),
        (("--format", "nonsense"), "unknown format 'nonsense'"),
        (("--nonsense",), "unknown option --nonsense"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_flags_that_exclude_each_other(
    limactl: Limactl, words: tuple[str, ...], message: str
) -> None:
    assert f'level=fatal msg="{message}' in limactl.bad("list", *words)


def test_an_expression_reaches_nothing(three: Limactl) -> None:
    assert "env operations have been disabled" in three.bad("ls", "--yq", "env(HOME)")
    assert "file operations have been disabled" in three.bad("ls", "--yq", 'load("/etc/passwd")')
    assert "level=fatal" in three.bad("ls", "--yq", 'system("id")')
    assert "level=fatal" in three.bad("create", "--set", 'load("/etc/passwd")', "template:dev")
    assert three.good("yq", "-n", "env(FOO)", env={"FOO": "bar"}) == "bar"


def test_yq_of_its_own(limactl: Limactl, tmp_path: Path) -> None:
    assert re.match(r"yq .*mikefarah.* version v", limactl.good("yq", "--version"))
    assert limactl.good("yq", ".foo=42", stdin=b"\n") == "foo: 42"
    assert limactl.good("yq", "-n", "-o", "json", "-I", "0", ".foo=42") == '{"foo":42}'
    assert "invalid input" in limactl.bad("yq", "-n", "foo")
    link = tmp_path / "yq.lima.exe"
    link.symlink_to(ROOT / "hack" / "limactl")
    done = subprocess.run(
        [link, "-n", "-o", "json", "-I", "0", ".foo=42"],
        capture_output=True,
        check=True,
        timeout=30,
        env=limactl.environment,
    )
    assert done.stdout == b'{"foo":42}\n'


def test_protection(limactl: Limactl) -> None:
    assert "failed to inspect instance `none`" in limactl.bad("protect", "none")
    limactl.create("web")
    mark = limactl.lima_home / "web" / "protected"
    for _ in range(2):
        assert limactl.good("protect", "web") == "" and mark.exists()
    assert b"`web` is already protected. Skipping." in limactl("protect", "web").stderr
    limactl.good("clone", "--yes", "web", "copy")
    assert not (limactl.lima_home / "copy" / "protected").exists()
    assert b"Deleted `copy`" in limactl("delete", "--force", "copy").stderr
    refusal = "failed to delete instance `web`: instance is protected"
    assert refusal in limactl.bad("delete", "--force", "web") and mark.exists()
    destroyed = Gaovm(limactl.home, limactl.project)("destroy", "-y", "web")
    assert destroyed.returncode == 1 and b"remedy: gaovm unprotect web" in destroyed.stderr
    limactl.good("unprotect", "web")
    assert not mark.exists()
    assert b"isn't protected. Skipping." in limactl("unprotect", "web").stderr
    assert b"Deleted `web`" in limactl("delete", "web").stderr
    assert not (limactl.lima_home / "web").exists()
    assert b"Ignoring non-existent instance `web`" in limactl("delete", "web").stderr


def test_autostart(limactl: Limactl) -> None:
    limactl.create("web")
    limactl.good("autostart", "enable", "web")
    status = subprocess.run(
        Gaovm.argv(limactl, "status", "web", "--json"),
        env=limactl.environment,
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert json.loads(status.stdout)["overrides"] == {"autostart": True}
    limactl.good("autostart", "disable", "web")
    assert "enable or disable" in limactl.bad("autostart", "maybe", "web")


def test_params(limactl: Limactl) -> None:
    script = {"mode": "system", "script": '#!/bin/sh\necho "$PARAM_release"\n'}
    fields = {"plain": True, "param": {"release": ""}, "provision": [script]}
    limactl.create("one", "--param=release=v1.35", **fields)
    config = limactl.lima_home / "one" / "lima.yaml"
    assert limactl.good("yq", ".param.release", stdin=config.read_bytes()) == "v1.35"
    limactl.good("edit", "--param", "release=v1.36", "one")
    assert limactl.good("yq", ".param.release", stdin=config.read_bytes()) == "v1.36"
    text = limactl.template(**fields).encode()
    said = limactl.bad("create", "--name", "two", "--param", "missing=value", "-", stdin=text)
    reason = "error while processing flag `param`: template does not define param `missing`"
    assert f'level=fatal msg="{reason}"' in said
    assert not (limactl.lima_home / "two").exists()


def test_edit_flags(limactl: Limactl) -> None:
    limactl.create("web", "--cpus=3", "--memory", "1.5", "--set", ".env.A = 1", "--mount-none")
    shown = json.loads(limactl.good("ls", "--json", "web"))
    assert (shown["cpus"], shown["memory"]) == (3, 1536 << 20)
    assert shown["config"]["env"] == {"A": 1}
    limactl.good("edit", "web", "--cpus", "2", "--disk=30")
    shown = json.loads(limactl.good("ls", "--json", "web"))
    assert (shown["cpus"], shown["disk"]) == (2, 30 << 30)
    assert "takes a whole number" in limactl.bad("edit", "web", "--cpus", "2 | .a = 1")


def test_edit_in_an_editor(limactl: Limactl, tmp_path: Path) -> None:
    limactl.create("web", cpus=1)
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i \'s/"cpus": 1/"cpus": 4/\' "$1"\n')
    editor.chmod(0o755)
    said = limactl("edit", "web", env={"EDITOR": str(editor)})
    assert b"Instance `web` configuration edited" in said.stderr
    assert json.loads(limactl.good("ls", "--json", "web"))["cpus"] == 4
    assert b"no changes made" in limactl("edit", "web", env={"EDITOR": "true"}).stderr
    editor.write_text("#!/bin/sh\necho 'cpus: many' >\"$1\"\n")
    assert "level=fatal" in limactl.bad("edit", "web", env={"EDITOR": str(editor)}, cwd=tmp_path)
    assert (tmp_path / "lima.REJECTED.yaml").read_text() == "cpus: many\n"
    assert json.loads(limactl.good("ls", "--json", "web"))["cpus"] == 4


def test_a_create_that_fails_leaves_nothing(limactl: Limactl) -> None:
    for text in ("cpus: 1\n", "images: [location: /no/image]\nnonsense: 1\n", "cpus: [\n"):
        said = limactl.bad("create", "--name", "web", "-", stdin=text.encode())
        assert "level=fatal" in said
        assert not (limactl.lima_home / "web").exists()
    assert "must pass instance name with --name" in limactl.bad("create", "-")
    limactl.create("web")
    again = limactl.bad("create", "--name=web", "-", stdin=limactl.template().encode())
    assert "instance `web` already exists" in again
    assert limactl.good("ls", "-q") == "web"


def test_a_shell_in_a_stopped_instance_asks_nobody(limactl: Limactl) -> None:
    limactl.create("web")
    done = limactl("shell", "--tty=false", "web", "true")
    assert done.returncode == 0 and b"is not running" in done.stderr
    assert limactl("shell", "--tty=true", "web", "true", stdin=b"y\n" * 100).returncode == 0
    assert "instance `none` does not exist" in limactl.bad("shell", "none", "true")
    assert 'expected status "Running"' in limactl.bad("stop", "web").replace("\\", "")


def test_a_directory_without_a_vm_is_shown_and_can_be_deleted(limactl: Limactl) -> None:
    left = limactl.lima_home / "left"
    left.mkdir(parents=True)
    (left / "lima.yaml").write_text(limactl.template())
    assert limactl.good("ls").splitlines()[1].split()[:2] == ["left", "Broken"]
    limactl.good("delete", "left")
    assert not left.exists()


def test_an_instance_whose_directory_was_removed_can_be_made_again(limactl: Limactl) -> None:
    limactl.create("web", cpus=1)
    subprocess.run(["rm", "-r", limactl.lima_home], check=True)
    limactl.create("web", cpus=2)
    assert json.loads(limactl.good("ls", "--json", "web"))["cpus"] == 2


def test_only_instances_of_this_lima_home_are_listed(limactl: Limactl, tmp_path: Path) -> None:
    limactl.create("web")
    other = {"LIMA_HOME": str(tmp_path / "other")}
    assert limactl.good("ls", "-q", env=other) == ""
    text = limactl.template().encode()
    said = limactl("create", "--name=web", "-", stdin=text, env=other)
    assert said.returncode == 1 and b"is taken by" in said.stderr
    assert limactl.good("ls", "-q") == "web"
    nowhere = {"LIMA_HOME": ""}
    directory = limactl.lima_home / "web"
    assert limactl.good("ls", "--format", "{{.Dir}}", env=nowhere) == str(directory)
    limactl.good("edit", "web", "--cpus=3", env=nowhere)
    limactl.good("delete", "web", env=nowhere)
    assert not directory.exists()


def test_validate_and_templates(limactl: Limactl, tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(limactl.template(cpus=2))
    assert b'msg="`' + str(file).encode() in limactl("validate", str(file)).stderr
    assert limactl.good("template", "yq", str(file), ".cpus") == "2"
    assert limactl.good("template", "url", "github:lima-vm/lima") == (
        "https://raw.githubusercontent.com/lima-vm/lima/HEAD/.lima.yaml"
    )
    limactl.good("template", "copy", str(file), str(tmp_path / "copy.yaml"))
    assert (tmp_path / "copy.yaml").read_bytes() == file.read_bytes()
    assert limactl.good("template", "yq", "template:default", ".mounts[].location") == "~"
    assert limactl.good("validate", "template:default", "template:dev", cwd=Path("/tmp")) == ""
    limactl.good("edit", str(file), "--cpus", "4")
    assert limactl.good("template", "yq", str(file), ".cpus") == "4"
    assert "is no file of yours" in limactl.bad("edit", "template:dev", "--cpus=1", cwd=tmp_path)
    assert "fetched by https only" in limactl.bad("create", "http://example.org/x.yaml")
    file.write_text("cpus: many\n")
    assert "failed to validate YAML file" in limactl.bad("validate", str(file))


def test_verbs_that_gaovm_does_without_say_why(limactl: Limactl) -> None:
    assert "`sudoers` is not supported: it lets socket_vmnet" in limactl.bad("sudoers")
    assert "`snapshot` is not supported" in limactl.bad("snapshot", "list", "web")
    assert 'unknown command \\"nonsense\\"' in limactl.bad("nonsense")


def test_forms_of_the_log(limactl: Limactl) -> None:
    said = limactl("--log-format=json", "list").stderr.decode()
    assert json.loads(said)["level"] == "warning"
    assert limactl("--log-level", "error", "list").stderr == b""


def test_help(limactl: Limactl) -> None:
    assert "Usage:  gaovm lima VERB" in limactl.good()
    text = limactl.good("create", "--help")
    assert text == limactl.good("help", "create") and "--set" in text
    assert limactl.good("--version").startswith("limactl version ")
    for shell in ("bash", "zsh", "fish"):
        assert "limactl" in limactl.good("completion", shell)
