"""Sizes in Lima's forms."""

from __future__ import annotations

import pytest

from gaovm.project import sizes, variables


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GiB", 8 << 30),
        ("512MiB", 512 << 20),
        ("1.5g", 3 << 29),
        ("2 GB", 2 << 30),
        ("1t", 1 << 40),
        ("4096b", 4096),
        ("10k", 10 << 10),
        (" 1Mi ", 1 << 20),
    ],
)
def test_size(text: str, size: int) -> None:
    assert sizes.parse(text) == size


@pytest.mark.parametrize("text", ["8", "1.5", "", "GiB", "-1GiB", "1 000MiB", "1GiBs", "8i", "8ib"])
def test_bad_size(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number with a unit"):
        sizes.parse(text)


def test_a_missing_unit_is_named() -> None:
    with pytest.raises(ValueError, match="size with no unit: found `8`"):
        sizes.parse("8")


def test_show() -> None:
    assert [sizes.show(n) for n in (1 << 40, 3 << 30, 5 << 20, 1024, 1000, 0)] == [
        "1TiB",
        "3GiB",
        "5MiB",
        "1KiB",
        "1000B",
        "0B",
    ]


def test_variables() -> None:
    text, unknown = variables.expand("{{.A}} {{ .A }} {{- .A -}} {{.B}} {{A}} {A}", {"A": "x"})
    assert text == "x x x {{.B}} {{A}} {A}"
    assert unknown == ["{{.B}}", "{{A}}"]
