"""Suggest the word that a user meant: the one place that asks ``did you mean …?``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


#: The least similarity of two words, from 0 to 1: a very different suggestion helps nobody.
#: This much suggests ``web-dev`` for ``web``.
LIKENESS = 0.6


def nearest(word: str, known: Iterable[str], likeness: float = LIKENESS) -> str | None:
    """Return the known word most similar to ``word``, ignoring case; None if none is similar."""
    import difflib  # lazily: only a misspelt word needs it

    lowered = {each.lower(): each for each in known}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=likeness)
    return lowered[near[0]] if near else None


def did_you_mean(
    word: str, known: Iterable[str], form: str = "{}", likeness: float = LIKENESS
) -> str | None:
    """Return the question for a remedy; None if no known word is similar to ``word``.

    ``form`` quotes or completes the known word.
    """
    near = nearest(word, known, likeness)
    return None if near is None else f"did you mean {form.format(near)}?"
