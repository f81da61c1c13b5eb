"""``vmOpts.gaovm``: restart, stop, autostart and the kernel's arguments."""

from __future__ import annotations

import pytest
from tests.unit.project.reading import IMAGE, load, problem

from gaovm.project import durations
from gaovm.spec.supervision import Restart, Stop, Supervision


def own(text: str) -> str:
    return IMAGE + f"vmOpts: {{gaovm: {{{text}}}}}\n"


def test_a_missing_key_keeps_its_default() -> None:
    assert load(IMAGE).spec.supervision == Supervision()
    spec = load(own("restart: {policy: never}")).spec
    assert spec.supervision == Supervision(restart=Restart(policy="never"))


def test_every_key_has_an_effect() -> None:
    loaded = load(
        own(
            "autostart: true, cmdline: 'a=1 b', "
            "restart: {policy: always, maxAttempts: 7, maxDelay: 1m, stableAfter: 90}, "
            "stop: {grace: 1.5m, force: 500ms}"
        )
    )
    assert loaded.warnings == ()
    assert loaded.spec.boot.extra_arguments == "a=1 b"
    assert loaded.spec.supervision == Supervision(
        restart=Restart(policy="always", max_attempts=7, max_delay_s=60.0, stable_s=90.0),
        stop=Stop(grace_s=90.0, force_s=0.5),
        autostart=True,
    )


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("restart: {policy: sometimes}", "restart.policy", "always, on-failure, never"),
        ("restart: {maxAttempts: 0}", "restart.maxAttempts", "from 1 to 1000, found 0"),
        ("restart: {maxDelay: soon}", "restart.maxDelay", "such as 30s, 2m or 1h; found `soon`"),
        ("restart: {maxAttempt: 1}", "restart.maxAttempt", "did you mean `maxAttempts`?"),
        ("stop: {grace: 2h}", "stop.grace", "at most 3600s, found `2h`"),
        ("autostart: maybe", "autostart", "true or false"),
        ('cmdline: "a\\nb"', "cmdline", "one line"),
    ],
)
def test_a_wrong_value_is_named(text: str, where: str, words: str) -> None:
    found = problem(own(text))
    assert found.startswith(f"2 vmOpts.gaovm.{where}: ")
    assert words in found


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("30", 30), ("2 m", 120), ("1.5h", 5400), ("500ms", 0.5), (" 2d ", 172800)],
)
def test_times(text: str, seconds: float) -> None:
    assert durations.parse(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "-1", "1w", "s", "1e3", "1 000", "1.", ".5", "1  m", "2m3", "²", "1" * 10, "30 ss"]
)
def test_bad_times(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time"):
        durations.parse(text)
