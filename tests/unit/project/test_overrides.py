"""The values of ``gaovm set``: the same keys, parsers and messages as the file's."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.project.reading import IMAGE, load

from gaovm import errors
from gaovm.project import overrides, words
from gaovm.spec import diff
from gaovm.spec.memory import GIB

BASE = load(IMAGE + "env: {A: one}\nvmOpts: {gaovm: {restart: {maxAttempts: 9}}}\n").spec


def problems(given: dict[str, Any]) -> list[str]:
    with pytest.raises(errors.ConfigError) as caught:
        overrides.apply(BASE, given)
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


def test_every_key_is_a_row_of_the_table_of_differences() -> None:
    rows = {field.word for field in diff.FIELDS}
    assert set(words.every()) <= rows


def test_no_override_leaves_the_spec_as_it_is() -> None:
    assert overrides.apply(BASE, {}) is BASE


def test_texts_and_values_mean_the_same() -> None:
    texts = overrides.apply(BASE, {"cpus": "4", "autostart": "true", "restart.maxDelay": "90"})
    values = overrides.apply(BASE, {"cpus": 4, "autostart": True, "restart.maxDelay": 90})
    assert texts == values
    assert texts.processors.count == 4
    assert texts.supervision.autostart is True
    assert texts.supervision.restart.max_delay_s == 90.0


def test_only_the_given_keys_change() -> None:
    changed = overrides.apply(
        BASE,
        {
            "memory": "8GiB",
            "disk": "40GiB",
            "env.B": "two",
            "accel": "tcg",
            "cmdline": "a=1",
            "restart.policy": "always",
            "stop.grace": "1m",
        },
    )
    found = {d.field: d.after for d in diff.differences(BASE, changed)}
    assert found == {
        "memory": 8 * GIB,
        "disk": 40 * GIB,
        "env.B": "two",
        "accel": "tcg",
        "cmdline": "a=1",
        "restart.policy": "always",
        "stop.grace": 60.0,
    }
    assert changed.supervision.restart.max_attempts == 9
    assert changed.guest.env == {"A": "one", "B": "two"}


def test_an_override_must_agree_with_the_file_below_it() -> None:
    displayed = overrides.apply(BASE, {"graphics.enabled": True, "graphics.width": 640})
    assert (displayed.graphics.enabled, displayed.graphics.width) == (True, 640)
    with pytest.raises(errors.ConfigError, match="kernel: the cloud kernel has no display"):
        overrides.apply(displayed, {"kernel": "cloud"})
    assert overrides.apply(displayed, {"kernel": "cloud", "graphics.enabled": "false"})


def test_a_variable_is_text_whatever_it_looks_like() -> None:
    changed = overrides.apply(BASE, {"env.A": "null", "env.B": 7, "env.C": "true"})
    assert changed.guest.env == {"A": "null", "B": "7", "C": "true"}


@pytest.mark.parametrize(
    ("word", "value", "message"),
    [
        ("cpus", "0", "cpus: expected a number from 1 to 256, found 0"),
        ("cpus", "many", "cpus: expected a whole number, found `many`"),
        ("memory", "8", "memory: size with no unit: found `8`, expected a number with a unit"),
        ("disk", "1KiB", "disk: expected 1MiB to 64TiB, found 1KiB"),
        ("accel", "warp", "accel: expected one of auto, kvm, hvf, tcg; found `warp`"),
        ("machine", "virt", "machine: machine virt needs arch aarch64"),
        ("restart.policy", "no", "restart.policy: expected one of always, on-failure, never"),
        ("stop.grace", "2h", "stop.grace: expected at most 3600s, found `2h`"),
        ("autostart", "yes", "autostart: expected true or false, found `yes`"),
        ("cpu", "4", "cpu: unknown field; did you mean `cpus`?"),
        ("restart.polcy", "x", "restart.polcy: unknown field; did you mean `restart.policy`?"),
        ("mounts", "x", "mounts: cannot be set here; write it in the project file"),
        ("vmOpts.gaovm.accel", "tcg", "vmOpts.gaovm.accel: use its short form here: accel"),
        ("env.1A", "x", "env.1A: expected the name of an environment variable"),
        ("cpus", [4], "cpus: expected a text, a number or true or false"),
    ],
)
def test_an_error_names_key_value_and_what_was_expected(
    word: str, value: Any, message: str
) -> None:
    (found,) = problems({word: value})
    assert found.startswith(message)


def test_all_errors_are_reported_at_once() -> None:
    assert len(problems({"cpus": "0", "memory": "1"})) == 2
    with pytest.raises(errors.ConfigError) as caught:
        overrides.apply(BASE, {"cpus": "0"})
    assert caught.value.field == "cpus"
    assert caught.value.details["problems"][0]["path"] == "cpus"
