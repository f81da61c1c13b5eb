"""The agent's Go source, as far as the contract with it can be read from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

AGENT = Path(__file__).parents[3] / "agent"
_STRUCT = re.compile(r"\b(\w+)\s+struct\s*\{\n((?:[^{}]|\{\s*\})*?)\n\s*\}", re.MULTILINE)
_TAG = re.compile(r'`json:"([^",]+)[^"]*"`')
_CONSTANT = re.compile(r"^\s*(?:const\s+)?(\w+)\s*=\s*([^/\n]+)", re.MULTILINE)


def files() -> Iterator[str]:
    """The text of every Go file of the agent, tests apart."""
    for path in sorted(AGENT.rglob("*.go")):
        if not path.name.endswith("_test.go"):
            yield path.read_text()


def constants() -> dict[str, str]:
    """Every constant that is written as ``name = value``; names in lower case."""
    return {
        match[1].lower(): match[2].strip() for text in files() for match in _CONSTANT.finditer(text)
    }


def structs() -> list[tuple[str, frozenset[str]]]:
    """Every struct that has JSON names: its own name, or that of its variable, and the names."""
    found = []
    for text in files():
        for match in _STRUCT.finditer(text):
            names = frozenset(_TAG.findall(match[2]))
            if names:
                found.append((match[1], names))
    return found
