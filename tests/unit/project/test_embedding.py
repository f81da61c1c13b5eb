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
    assert "more than 16 bases deep" in refused(with_image("base: 0.yaml"), deep).message
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
