"""Suggest the word that a user meant: the one place that asks ``did you mean …?``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


#: The least likeness of two words, from 0 to 1. A far-fetched suggestion helps nobody.
_LIKENESS = 0.7


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most like ``word``, whatever its case; None if none is like it."""
    import difflib  # lazily: only a misspelt word needs it

    lowered = {each.lower(): each for each in known}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=_LIKENESS)
    return lowered[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str], form: str = "{}") -> str | None:
    """Return the question for a remedy; None if no known word is like ``word``.

    ``form`` quotes or completes the known word.
    """
    near = nearest(word, known)
    return None if near is None else f"did you mean {form.format(near)}?"
