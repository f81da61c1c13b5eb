"""``did you mean …?``: the one place that looks for what a misspelt word was to be."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


#: How much two words have in common at least, from 0 to 1: a far-fetched question helps nobody.
_LIKENESS = 0.7


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like ``word``, in whatever case; None: none is like it."""
    import difflib  # only when somebody has misspelt something

    lowered = {each.lower(): each for each in known}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=_LIKENESS)
    return lowered[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str], form: str = "{}") -> str | None:
    """The question that a remedy asks; None: no known word is like it.

    ``form`` is how the known word stands in it, such as in quotes.
    """
    near = nearest(word, known)
    return None if near is None else f"did you mean {form.format(near)}?"
