"""The drawing of the error tree agrees with the classes; every class has its own code."""

from __future__ import annotations

import inspect

from gaovm import errors


def classes() -> list[type[errors.GaoError]]:
    return [
        c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.GaoError)
    ]


def drawn(cls: type[errors.GaoError], prefix: str = "    ", stem: str = "") -> list[str]:
    lines = []
    children = cls.__subclasses__()
    for i, child in enumerate(children):
        last = i == len(children) - 1
        lines.append(f"{prefix}{stem}{'└' if last else '├'}── {child.__name__}")
        lines += drawn(child, prefix, stem + ("    " if last else "│   "))
    return lines


def test_docstring_draws_the_tree() -> None:
    doc = errors.__doc__ or ""
    picture = [line for line in doc.splitlines() if "──" in line]
    names = [line.split("── ")[1].split()[0] for line in picture]
    assert names == [line.split("── ")[1] for line in drawn(errors.GaoError)]
    for line, want in zip(picture, drawn(errors.GaoError), strict=True):
        assert line.split("──")[0] == want.split("──")[0], line


def test_codes_are_unique() -> None:
    codes = [c.code for c in classes()]
    assert sorted(codes) == sorted(set(codes))
