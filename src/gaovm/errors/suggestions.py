"""Suggest the word that a user meant: the one place that asks ``did you mean …?``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


#: The least similarity of two words, from 0 to 1: a very different suggestion helps nobody.
_LIKENESS = 0.7


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most similar to ``word``, ignoring case; None if none is similar."""
    import difflib  # lazily: only a misspelt word needs it

    lowered = {each.lower(): each for each in known}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=_LIKENESS)
    return lowered[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str], form: str = "{}") -> str | None:
    """Return the question for a remedy; None if no known word is similar to ``word``.

    ``form`` quotes or completes the known word.
    """
    near = nearest(word, known)
    return None if near is None else f"did you mean {form.format(near)}?"
