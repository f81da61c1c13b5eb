"""A config that is written again is the same config."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.project.test_embedding import plain
from tests.unit.project.test_upstream_templates import BROKEN, NAMES, TEMPLATES, Upstream

from gaovm.project import nodes
from gaovm.project.lima import embedding, emitting
from gaovm.project.problems import Findings


@pytest.mark.parametrize("name", [name for name in NAMES if name != BROKEN])
def test_a_whole_template_is_the_same_after_it_was_written(name: str) -> None:
    found = Findings(name)
    root = nodes.parse((TEMPLATES / name).read_text())
    tree = embedding.Embedder(Upstream(), found, "/home/ann").embed(root, "template:x")
    assert not found.problems
    assert plain(nodes.parse(emitting.emit(tree))) == plain(tree)


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Co", "Cn"]))


@given(st.dictionaries(st.sampled_from(["a", "b c", "1", "yes", "~x"]), TEXTS | st.just("a\nb\n")))
def test_any_text_is_the_same(values: dict[str, str]) -> None:
    entries: dict[str, nodes.Node] = {
        key: nodes.Scalar(1, key, text, False) for key, text in values.items()
    }
    tree = nodes.Table(1, "", entries, dict.fromkeys(entries, 1))
    again = nodes.parse(emitting.emit(tree))
    assert {key: getattr(node, "text", None) for key, node in again.entries.items()} == values


@pytest.mark.parametrize("text", ["yes", "0644", "1.5", "null", "true", "2001-01-01", "1e3", "~"])
def test_a_plain_value_stays_plain(text: str) -> None:
    tree = nodes.parse(f"a: {text}\nb: '{text}'\n")
    again = nodes.parse(emitting.emit(tree))
    assert again.entries == tree.entries
