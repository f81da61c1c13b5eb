"""Files that are made to be slow: the reader's time grows only linearly with their size.

The limit is far above what any of them takes (0.1 s at most). A reader whose time grows faster
would take minutes, or more memory than any machine has.
"""

from __future__ import annotations

import time

import pytest
from tests.unit.project.reading import load, problems, with_image

from gaovm import errors
from gaovm.project import nodes, overrides, variables

FULL = nodes.MAX_TEXT - 200
LIMIT_S = 5.0


def filled(head: str, part: str, tail: str = "") -> str:
    return with_image(head + part * (FULL // len(part)) + tail)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (filled("message: '{{", " ", "'"), ""),
        (filled("message: '", "{{ ", "'"), ""),
        (filled("message: '{{", "- ", "'"), ""),
        (filled("message: '", "{{.Home}}", "'"), ""),
        (filled("a: [", "a,", "]"), "1 : more than 20000 values"),
        (filled("a: [", "{},", "]"), "1 : more than 20000 values"),
        (filled("a: ", "["), "1 : not valid YAML: nested too deeply"),
        (filled("a: ", "{a: "), "1 : not valid YAML: nested too deeply"),
        (filled("", "- "), "1 : not valid YAML: nested too deeply"),
        (filled("", "? "), "1 : not valid YAML: nested too deeply"),
        (filled("", "---\n"), "2 : not valid YAML: a second document begins here"),
        (filled("mounts:\n", "- location: /a\n- location: /b\n"), ""),
        ("mounts:\n" + "".join(f"- location: /a{n}\n" for n in range(6000)), ""),
        ("".join(f"cpuss{n}: 1\n" for n in range(9000)), "1 cpuss0: unknown field; did you mean"),
        (filled("a: !", "x", " b"), "1 a: the tag !xxxxxxxx"),
        (filled("", "k", ": 1"), "1 : not valid YAML: "),
        ("k" * 600 + ": 1", "1 : a key is too long: kkkkkkk"),
        (
            "a: &a '" + "{{.Home}}" * 20_000 + "'\nprovision:\n" + "- script: *a\n" * 3000,
            "1 provision[",
        ),
    ],
)
def test_a_file_of_the_largest_size_costs_little(text: str, expected: str) -> None:
    begin = time.process_time()
    found = problems(text)
    assert time.process_time() - begin < LIMIT_S
    if expected:
        assert found[0].startswith(expected)
    assert sum(map(len, found)) < 64 << 10


def test_long_paths_do_not_multiply() -> None:
    keys = "".join(" " * depth + "k" * 250 + ":\n" for depth in range(22))
    text = keys + " " * 23 + "[" + "a," * 15_000 + "]"
    assert "a key is too long" in problems(text)[0]


def test_what_counts_as_a_variable() -> None:
    values = {"Home": "/h", "Name": "n"}
    text = "{{.Home}} {{ .Name }} {{- .Home -}} {{.Other}} {{Home}} {{ {{.Home}} }} {{.Home"
    done, unknown = variables.expand(text, values)
    assert done == "/h n /h {{.Other}} {{Home}} {{ {{.Home}} }} {{.Home"
    assert unknown == ["{{.Other}}", "{{Home}}", "{{ {{.Home}}"]


def test_an_override_is_neither_a_huge_number_nor_a_tree() -> None:
    base = load(with_image("")).spec
    for value in (10**5000, [[1] * 1000] * 1000, "x" * 5000):
        with pytest.raises(errors.ConfigError, match="expected a text, a number or true or false"):
            overrides.apply(base, {"cpus": value})
    with pytest.raises(errors.ConfigError, match="more than 200 overrides"):
        overrides.apply(base, {f"env.A{n}": 1 for n in range(201)})


def test_an_empty_script_is_no_script() -> None:
    for script in ('""', "'  '", "|2\n    \n"):
        text = with_image(f"provision:\n- script: {script}\n")
        assert problems(text) == ["2 provision[0].script: must not be empty"]
    assert problems(with_image("provision:\n- mode: user\n")) == [
        "2 provision[0].script: must not be empty"
    ]
