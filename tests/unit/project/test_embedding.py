"""Bases and scripts of a file: Lima's cases, the places that messages name, and the bounds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.project.reading import IMAGE, Files, load, with_image

from gaovm import errors
from gaovm.project import nodes
from gaovm.project.lima import embedding, locators
from gaovm.project.problems import Findings

DATA = Path(__file__).resolve().parents[2] / "data" / "lima" / "vectors"
EMBED = json.loads((DATA / "template-embed.json").read_text())["cases"]
ABSOLUTE = json.loads((DATA / "template-abs-locators.json").read_text())["cases"]
HERE = "/home/ann/p"


def plain(node: nodes.Node) -> Any:
    """A tree as YAML 1.2 means it."""
    if isinstance(node, nodes.Scalar):
        return yaml.safe_load(node.text) if node.plain else node.text
    if isinstance(node, nodes.Sequence):
        return [plain(item) for item in node.items]
    return {key: plain(entry) for key, entry in node.entries.items()}


def refused(text: str, files: dict[str, str | bytes]) -> errors.ConfigError:
    with pytest.raises(errors.ConfigError) as info:
        load(text, resolver=Files(files))
    assert info.value.exit_code == 2
    assert info.value.remedy
    return info.value


@pytest.mark.parametrize("case", EMBED, ids=lambda case: str(case["description"]))
def test_embedding_case(case: dict[str, Any]) -> None:
    """By structure, also where Lima compares comments: GaoVM keeps none."""
    found = Findings("tmpl.yaml")
    files = Files({f"/w/{name}": text for name, text in case["files"].items()})
    embedder = embedding.Embedder(files, found, "/home/ann", embed_all=False)
    tree = embedder.embed(nodes.parse(case["template"]), "/w/tmpl.yaml")
    if case["kind"] == "error":
        assert any(case["expected"] in problem.lima for problem in found.problems)
    else:
        assert not found.problems
        assert plain(tree) == plain(nodes.parse(case["expected"]))


@pytest.mark.parametrize("case", ABSOLUTE, ids=lambda case: str(case["description"]))
def test_locator_case(case: dict[str, Any]) -> None:
    want = plain(nodes.parse(case["expected"]))["base"]
    given = plain(nodes.parse(case["template"]))["base"]
    given, want = (each if isinstance(each, list) else [each] for each in (given, want))
    directory = locators.directory(case["locator"])
    for one, other in zip(given, want, strict=True):
        one, other = (each["url"] if isinstance(each, dict) else each for each in (one, other))
        assert locators.absolute(one, directory, "/home/ann") == other


@pytest.mark.parametrize(
    ("locator", "base", "expected"),
    [
        ("x.yaml", "/w", "/w/x.yaml"),
        ("./a/./x.yaml", "/w", "/w/a/x.yaml"),
        ("/x.yaml", "template:", "/x.yaml"),
        ("~/x.yaml", "/w", "/home/ann/x.yaml"),
        ("x", "template:_images", "template:_images/x"),
        ("x", "template://a", "template://a/x"),
        ("https://e.org/x", "/w", "https://e.org/x"),
        ("template:a", "/w", "template:a"),
    ],
)
def test_locators(locator: str, base: str, expected: str) -> None:
    assert locators.absolute(locator, base, "/home/ann") == expected


@pytest.mark.parametrize(
    ("locator", "name"),
    [
        ("template:a", "a.yaml"),
        ("template://a", "a.yaml"),
        ("template:_images/ubuntu-24.04", "_images/ubuntu-24.04.yaml"),
        ("template:a.sh", "a.sh"),
    ],
)
def test_files_of_templates(locator: str, name: str) -> None:
    assert locators.template_file(locator) == name


@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/../../x", "a//b", ".ssh/x"])
def test_a_template_lies_in_its_directory(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a template"):
        locators.template_file(f"template:{name}")


def test_a_base_fills_what_the_file_leaves_open() -> None:
    files: dict[str, str | bytes] = {
        f"{HERE}/b.yaml": "cpus: 3\nmemory: 1GiB\nenv: {A: base, B: base}\n" + IMAGE,
        "template:more.yaml": "disk: 30GiB\nprovision: [{script: third}]\n",
    }
    text = "base: [b.yaml, template:more]\ncpus: 4\nenv: {A: own}\nprovision: [{script: own}]\n"
    spec = load(text, resolver=Files(files)).spec
    assert (spec.processors.count, spec.memory.size_bytes >> 30, spec.disk.size_bytes >> 30) == (
        *(4, 1, 30),
    )
    assert spec.guest.env == {"A": "own", "B": "base"}
    assert [(one.name, one.script) for one in spec.guest.provision] == [
        ("provision[0]", "third"),
        ("provision[1]", "own"),
    ]


def test_a_problem_is_told_where_it_stands() -> None:
    files: dict[str, str | bytes] = {
        f"{HERE}/b.yaml": "\nprobes:\n- script: '#!/bin/sh'\nportForwards: [{guestPort: -1}]\n",
        f"{HERE}/c.yaml": "provision:\n- {mode: never, script: x}\n",
    }
    text = "base: [b.yaml, c.yaml]\nprobes: [{script: x}]\nprovision: [{mode: nix, script: x}]\n"
    error = refused(with_image(text), files)
    assert error.remedy is not None
    assert "probes[0].script: begin it with #!/bin/sh\n" in error.remedy
    problems = error.details["problems"]
    places = {(each["file"], each["line"], each["path"]) for each in problems}
    assert places == {
        ("c.yaml", 2, "probes[0].script"),
        ("c.yaml", 3, "provision[0].mode"),
        (f"{HERE}/b.yaml", 4, "portForwards[0].guestPort"),
        (f"{HERE}/c.yaml", 2, "provision[0].mode"),
    }


def test_a_warning_is_told_where_it_stands() -> None:
    files: dict[str, str | bytes] = {f"{HERE}/b.yaml": "\naudio: {device: x}\n"}
    loaded = load(with_image("base: b.yaml"), resolver=Files(files))
    assert loaded.warnings[0].startswith(f"{HERE}/b.yaml:2: audio: ")
    files = {f"{HERE}/b.yaml": "\nmounts:\n- location: /a\n"}
    loaded = load(with_image("base: b.yaml"), resolver=Files(files))
    assert loaded.place("mounts[0].location") == f"{HERE}/b.yaml:3: mounts[0].location"


def test_scripts_from_files() -> None:
    files: dict[str, str | bytes] = {
        f"{HERE}/a.sh": "#!/bin/sh\necho {{.User}}\n",
        "template:probe.sh": "#!/bin/sh\ntrue\n",
    }
    text = "provision: [{mode: user, file: a.sh}]\nprobes: [{file: {url: template:probe.sh}}]\n"
    guest = load(with_image(text), resolver=Files(files)).spec.guest
    assert guest.provision[0].script == "#!/bin/sh\necho ann\n"
    assert guest.probes[0].script == "#!/bin/sh\ntrue\n"


def test_a_digest_is_checked() -> None:
    files: dict[str, str | bytes] = {f"{HERE}/b.yaml": "cpus: 3\n"}
    digest = hashlib.sha256(b"cpus: 3\n").hexdigest()
    text = "base: [{url: b.yaml, digest: 'sha256:%s'}]"
    assert load(with_image(text % digest), resolver=Files(files)).spec.processors.count == 3
    wrong = refused(with_image(text % ("0" * 64)), files)
    assert f"its digest is sha256:{digest}" in wrong.message
    assert (
        "unsupported digest algorithm"
        in refused(with_image("base: {url: b.yaml, digest: 'md5:00'}"), files).message
    )


@pytest.mark.parametrize(
    ("text", "files", "expected"),
    [
        ("base: none.yaml", {}, "c.yaml:1: base: cannot embed `/home/ann/p/none.yaml`: No such"),
        (
            "base: https://e.org/x",
            {},
            "c.yaml:1: base: cannot embed `https://e.org/x`: GaoVM downl",
        ),
        ("base: [github:a/b]", {}, "c.yaml:1: base[0]: cannot embed `github:a/b`: GaoVM downloads"),
        ("base: fedora:x", {}, "c.yaml:1: base: cannot embed `fedora:x`: unknown scheme `fedora:`"),
        (
            "base: ../x.yaml",
            {},
            "c.yaml:1: base: relative locator path `../x.yaml` must not contain",
        ),
        ("base: template:../x", {}, "`template:../x` is not the name of a template"),
        (
            "base: a.yaml",
            {"a.yaml": "base: b.yaml", "b.yaml": "base: a.yaml"},
            "b.yaml:1: base: base",
        ),
        ("base: [a.yaml, a.yaml]", {"a.yaml": "cpus: 1"}, "c.yaml:1: base[1]: base template loop"),
        ("base: a.yaml", {"a.yaml": "cpus: [1"}, "/home/ann/p/a.yaml:2: not valid YAML"),
        (
            "base: a.yaml",
            {"a.yaml": b"cpus: 1\nenv: {A: \xff}"},
            "a.yaml:2: not UTF-8: the byte 0xff",
        ),
        (
            "base: a.yaml",
            {"a.yaml": "- 1"},
            "/home/ann/p/a.yaml:1: expected a mapping, found a list",
        ),
        ("base: a.yaml", {"a.yaml": "# " + "x" * (256 << 10)}, "larger than 256 KiB"),
        ("provision: [{file: a.sh}]", {"a.sh": b"\xff"}, "provision[0].file: cannot embed `/home"),
        ("base: a.yaml", {"a.yaml": "cpus: 1\ncpu: 2"}, "/home/ann/p/a.yaml:2: cpu: unknown field"),
        ("base: [[x]]", {}, "c.yaml:1: base[0]: expected a mapping, found a list"),
    ],
)
def test_what_cannot_be_embedded(text: str, files: dict[str, str | bytes], expected: str) -> None:
    error = refused(with_image(text), {f"{HERE}/{name}": data for name, data in files.items()})
    assert expected in error.message
    assert all(each.get("remedy") for each in error.details["problems"])


def test_depth_and_number_are_bounded() -> None:
    deep: dict[str, str | bytes] = {f"{HERE}/{n}.yaml": f"base: {n + 1}.yaml\n" for n in range(100)}
    assert "more than 8 bases deep" in refused(with_image("base: 0.yaml"), deep).message
    wide: dict[str, str | bytes] = {f"{HERE}/{n}.yaml": "cpus: 1\n" for n in range(500)}
    names = ", ".join(f"{n}.yaml" for n in range(500))
    assert "more than 64 files" in refused(with_image(f"base: [{names}]"), wide).message
    large = "dns:\n" + "- a\n" * 6000
    heavy: dict[str, str | bytes] = {f"{HERE}/{n}.yaml": large for n in range(5)}
    names = ", ".join(f"{n}.yaml" for n in range(5))
    assert "have more than 20000 values" in refused(with_image(f"base: [{names}]"), heavy).message


def test_two_mounts_of_one_file_stay_a_mistake() -> None:
    text = "mounts: [{location: /a}, {location: /a, writable: true}]"
    with pytest.raises(errors.ConfigError, match="a second mount at /a"):
        load(with_image(text))
    files: dict[str, str | bytes] = {f"{HERE}/b.yaml": "mounts: [{location: /a, writable: true}]\n"}
    text = "base: b.yaml\nmounts: [{location: /a}]\n"
    share = load(with_image(text), resolver=Files(files)).spec.shares[0]
    assert (share.location, share.writable) == ("/a", True)


def test_what_lima_embedded_is_read() -> None:
    text = "provision:\n- script: !!binary IyEHMTIz\n"
    assert load(with_image(text)).spec.guest.provision[0].script == "#!\a123"
    assert "takes UTF-8 text" in refused(with_image("env: {A: !!binary _}"), {}).message


def embedded(main: str, **bases: str) -> Any:
    """The whole config of a text with bases ``a`` and ``b``, as data."""
    found = Findings("c.yaml")
    files = Files({f"/w/{name}.yaml": text for name, text in bases.items()})
    root = nodes.parse(f"base: [{', '.join(f'{name}.yaml' for name in bases)}]\n{main}")
    tree = embedding.Embedder(files, found, "/home/ann").embed(root, "/w/c.yaml")
    assert not found.problems
    return plain(tree)


def test_an_entry_gets_what_it_lacks_at_any_depth() -> None:
    found = embedded(
        "mounts: [{location: /a, 9p: {cache: mmap}, sshfs: null}]",
        a="mounts: [{location: /a, 9p: {cache: none, msize: 1MiB}, sshfs: {cache: false}}]",
        b="mounts: [{location: '*', writable: true}, {location: /b}]",
    )
    assert found["mounts"] == [
        {
            "location": "/a",
            "9p": {"cache": "mmap", "msize": "1MiB"},
            "sshfs": {"cache": False},
            "writable": True,
        },
        {"location": "/b"},
    ]


def test_a_network_is_attached_in_one_way() -> None:
    found = embedded(
        "networks: [{interface: n, lima: a}]", a="networks: [{interface: n, socket: /s, metric: 1}]"
    )
    assert found["networks"] == [{"interface": "n", "lima": "a", "metric": 1}]


def test_what_has_no_key_is_left_alone() -> None:
    found = embedded("mounts: [x, null]\nnetworks: [y]", a="mounts: [[z], '*']\nnetworks: [y]")
    assert found == {"mounts": ["x", None, ["z"], "*"], "networks": ["y", "y"]}


def test_a_value_of_another_kind_stays() -> None:
    found = embedded("mounts: null\nenv: x\ncpus: 1", a="mounts: [1]\nenv: {a: b}\ncpus: [2]")
    assert found == {"mounts": None, "env": "x", "cpus": 1}


def test_a_file_may_be_a_url_of_this_host() -> None:
    files: dict[str, str | bytes] = {"/etc/b.yaml": "cpus: 3\n"}
    text = with_image("base: file:///etc/b.yaml")
    assert load(text, resolver=Files(files)).spec.processors.count == 3
    assert "unknown scheme `file:`" in refused(with_image("base: file://b.yaml"), files).message


def test_files_with_a_long_common_beginning_are_two() -> None:
    stem = "x" * 250
    files: dict[str, str | bytes] = {
        f"{HERE}/{stem}1.yaml": "env: {A: one}\n",
        f"{HERE}/{stem}2.yaml": "env: {B: two}\n",
    }
    text = with_image(f"base: [{stem}1.yaml, {stem}2.yaml]")
    assert load(text, resolver=Files(files)).spec.guest.env == {"A": "one", "B": "two"}


def test_all_files_together_are_bounded() -> None:
    script = "#" * (200 << 10)
    files: dict[str, str | bytes] = {f"{HERE}/{n}.sh": script for n in range(9)}
    entries = ", ".join(f"{{file: {n}.sh}}" for n in range(9))
    error = refused(with_image(f"provision: [{entries}]"), files)
    assert "all files together are larger than 1024 KiB" in error.message


def test_without_embedding_all_a_template_ends_the_bases() -> None:
    found = Findings("c.yaml")
    root = nodes.parse("base: [template:a, template:b, c.yaml]")
    tree = embedding.Embedder(Files({}), found, "/h", embed_all=False).embed(root, "/w/c.yaml")
    assert plain(tree) == {"base": ["template:a", "template:b", "/w/c.yaml"]}
    (problem,) = found.problems
    assert problem.lima == "cannot embed template `/w/c.yaml` after not embedding `template:a`"


def test_a_text_that_stands_alone_names_no_files() -> None:
    with pytest.raises(errors.ConfigError, match="no file can be read here"):
        load(with_image("base: x.yaml"))
    with pytest.raises(errors.ConfigError, match="no template can be read here"):
        load(with_image("base: template:x"))
