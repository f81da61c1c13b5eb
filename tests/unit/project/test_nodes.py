"""YAML as Lima understands it, and hostile files."""

from __future__ import annotations

import time

import pytest
from tests.unit.project.reading import load, problem, with_image

from gaovm.project import nodes


def scalar(text: str) -> nodes.Scalar:
    node = nodes.parse(f"k: {text}").entries["k"]
    assert isinstance(node, nodes.Scalar)
    return node


@pytest.mark.parametrize("text", ["yes", "on", "off", "no", "y", '"true"', "1"])
def test_yaml_1_1_words_are_no_booleans(text: str) -> None:
    assert scalar(text).boolean is None


def test_booleans_numbers_and_nulls() -> None:
    assert [scalar(t).boolean for t in ("true", "False", "TRUE")] == [True, False, True]
    assert [scalar(t).integer for t in ("0", "-3", "0x1F", "0o17")] == [0, -3, 31, 15]
    assert [scalar(t).integer for t in ("0644", "1_000", "1.0", '"1"', "9" * 40)] == [None] * 5
    assert [scalar(t).is_null for t in ("", "~", "null", '""', "'~'")] == [True] * 3 + [False] * 2
    assert scalar("0644").text == "0644"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1\nb: 2\n", "2 : not valid YAML: "),
        ("a: 1\n\tb: 2\n", "2 : not valid YAML: "),
        ("a: \x01\n", "1 : not valid YAML: a character that is not printable"),
        ("- a\n", "1 : expected a mapping, found a list"),
        ("a: 1\n--- \nb: 1\n", "2 : not valid YAML: "),
        ("cpus: 1\ncpus: 2\n", "2 cpus: the key occurs twice, first on line 1"),
        ("cpus: !!python/object:os.system x\n", "1 cpus: the tag "),
        ("? [a]\n: b\n", "1 : a key must be a word"),
        ("<<: 3\n", "1 : `<<` takes a mapping"),
        ("a: *nope\n", "1 : not valid YAML: "),
        ("a: " + "[" * 200_000, "1 : not valid YAML: nested too deeply"),
        ("- " * 100_000, "1 : not valid YAML: nested too deeply"),
        ("a: &a [*a]\n", "1 a[0][0]"),
        ("#" * (300 << 10), "1 : the file is larger than 256 KiB"),
    ],
)
def test_malformed(text: str, expected: str) -> None:
    assert problem(text).startswith(expected)


def test_an_alias_bomb_is_cheap() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    begin = time.perf_counter()
    assert "too many values" in problem("\n".join(lines))
    assert time.perf_counter() - begin < 5


def test_anchors_and_merge_keys() -> None:
    text = (
        "provision:\n"
        "- &first {mode: user, script: one}\n"
        "- {<<: *first, script: two}\n"
        "- {<<: [*first, {script: x}]}\n"
    )
    scripts = load(with_image(text)).spec.guest.provision
    assert [(s.mode, s.script) for s in scripts] == [
        ("user", "one"),
        ("user", "two"),
        ("user", "one"),
    ]


def test_an_empty_file_lacks_an_image() -> None:
    for text in ("", "# nothing\n", "~\n", "{}\n"):
        assert "images: must be set" in problem(text)
