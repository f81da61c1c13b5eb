"""Reads the contract's names from the agent's Go source, as far as text can show them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

AGENT = Path(__file__).parents[3] / "agent"
_STRUCT = re.compile(r"\b(\w+)\s+struct\s*\{\n((?:[^{}]|\{\s*\})*?)\n\s*\}", re.MULTILINE)
_TAG = re.compile(r'`json:"([^",]+)[^"]*"`')
_CONSTANT = re.compile(r"^\s*(?:const\s+)?(\w+)\s*=\s*([^/\n]+)", re.MULTILINE)


def files() -> Iterator[str]:
    """Yield the text of each of the agent's Go files, except tests."""
    for path in sorted(AGENT.rglob("*.go")):
        if not path.name.endswith("_test.go"):
            yield path.read_text()


def constants() -> dict[str, str]:
    """Return every constant that is written as ``name = value``; names in lower case."""
    return {
        match[1].lower(): match[2].strip() for text in files() for match in _CONSTANT.finditer(text)
    }


def structs() -> list[tuple[str, frozenset[str]]]:
    """Return every struct with JSON names: its own or its variable's name, and the JSON names."""
    found = []
    for text in files():
        for match in _STRUCT.finditer(text):
            names = frozenset(_TAG.findall(match[2]))
            if names:
                found.append((match[1], names))
    return found
