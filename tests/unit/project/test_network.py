"""Host access and port rules in the project file: what cannot be honoured closes."""

from __future__ import annotations

import pytest
from tests.unit.project.reading import IMAGE, load, problem, problems, with_image

from gaovm.project import overrides


def own(text: str) -> str:
    return with_image(f"vmOpts: {{gaovm: {{hostAccess: {text}}}}}")


def test_the_host_is_closed_unless_it_is_opened() -> None:
    assert load(IMAGE).spec.network.host_access is False
    assert load(own("false")).spec.network.host_access is False
    loaded = load(own("true"))
    assert loaded.spec.network.host_access is True
    assert loaded.warnings == ()


@pytest.mark.parametrize("text", ["yes", "1", "'true'", "{a: 1}", "5432"])
def test_other_words_are_a_problem(text: str) -> None:
    assert "vmOpts.gaovm.hostAccess: expected true or false, found" in problem(own(text))


def test_single_ports_are_refused_by_name() -> None:
    message = problem(own("[5432]"))
    assert "vmOpts.gaovm.hostAccess: single ports cannot be opened yet" in message
    bad = problems(own("[1, 0, http]"))
    assert "hostAccess[1]: expected a port from 1 to 65535, found `0`" in bad[0]
    assert "hostAccess[2]: expected a port from 1 to 65535, found `http`" in bad[1]


def test_it_can_be_set() -> None:
    base = load(IMAGE).spec
    assert overrides.apply(base, {"hostAccess": True}).network.host_access is True
    assert overrides.apply(base, {"hostAccess": "true"}).network.host_access is True
