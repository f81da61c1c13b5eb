from __future__ import annotations

import pytest

from gaovm import errors
from gaovm.cli import options


def _command(**changes: object) -> options.Command:
    settings: dict[str, object] = {
        "about": "About.",
        "words": "[NAME]",
        "count": (0, 1),
        "options": (
            options.NAME,
            options.Option("-f, --follow", "follow"),
            options.Option("-t, --tty", "terminal"),
            options.Option("-n, --lines", "lines", value="N", kind="number"),
            options.Option("--timeout", "time", value="TIME", kind="duration"),
            options.Option("-e, --env", "environment", value="K=V", many=True),
            options.Option("--wait", "wait", value="WHAT", choices=("agent", "ready")),
        ),
        "examples": ("gaovm test",),
    }
    return options.Command("test", lambda parsed: 0, **{**settings, **changes})  # type: ignore[arg-type]


def test_every_spelling_of_a_value_is_understood() -> None:
    for argv in (["-n", "5"], ["-n5"], ["--lines", "5"], ["--lines=5"]):
        assert _command().parse(argv).number("lines") == 5


def test_flags_bundle_and_values_collect() -> None:
    parsed = _command().parse(["-ft", "-e", "A=1", "web", "--env=B=2=3", "-n3"])
    assert parsed.flag("follow") and parsed.flag("tty") and not parsed.flag("wait")
    assert parsed.many("env") == ["A=1", "B=2=3"]
    assert parsed.words == ["web"]
    assert _command().parse(["-fn7"]).number("lines") == 7


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("90s", 90.0), ("10m", 600.0), ("1.5h", 5400.0), ("2d", 172800.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert _command().parse(["--timeout", text]).seconds("timeout") == seconds


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--folow"], "unknown option --folow"),
        (["-x"], "unknown option -x"),
        (["-n"], "-n needs a value (N)"),
        (["-n", "five"], "must be a number"),
        (["-n", "²"], "must be a number"),
        (["--timeout", "10 minutes"], "--timeout: expected a time"),
        (["--timeout", ""], "--timeout: expected a time"),
        (["--timeout", "21d"], "--timeout 21d: must be at most 20d"),
        (["--wait=never"], "must be one of agent, ready"),
        (["--follow=yes"], "--follow takes no value"),
        (["a", "b"], "unexpected word: b"),
    ],
)
def test_mistakes_are_usage_errors_with_a_remedy(argv: list[str], message: str) -> None:
    with pytest.raises(errors.UsageError) as caught:
        _command().parse(argv)
    assert message in caught.value.message
    assert caught.value.remedy
    assert caught.value.exit_code == 2


def test_a_misspelt_option_gets_a_suggestion() -> None:
    with pytest.raises(errors.UsageError) as caught:
        _command().parse(["--folow"])
    assert caught.value.remedy == "did you mean --follow?"


def test_a_missing_word_is_named() -> None:
    with pytest.raises(errors.UsageError, match="IMAGE is missing"):
        _command(words="IMAGE", count=(1, 1)).parse([])


def test_double_dash_ends_options_and_keeps_the_rest() -> None:
    parsed = _command(rest="-- CMD...").parse(["-f", "--", "ls", "-n", "--", "x"])
    assert parsed.rest == ["ls", "-n", "--", "x"]
    # without a rest, the text after -- is read as words: it can name a file -f
    assert _command().parse(["--", "-f"]).words == ["-f"]


def test_greedy_options_end_at_the_first_word() -> None:
    parsed = _command(rest="-- CMD...", greedy=True).parse(["-t", "ls", "-f", "--", "x"])
    assert parsed.rest == ["ls", "-f", "--", "x"]
    assert not parsed.flag("follow")


def test_help_wins_over_missing_words_and_lists_everything() -> None:
    command = _command(words="IMAGE", count=(1, 1))
    assert command.parse(["--help"]).flag("help")
    text = command.help()
    for part in ("About.", "Usage:  gaovm test [options] IMAGE", "-n, --lines N", "agent, ready"):
        assert part in text
    assert "gaovm test" in text and "-h, --help" in text
