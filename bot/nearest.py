"""The nearest of the words that are known to one that isn't."""

import difflib
from collections.abc import Iterable

CLOSE = 0.6
"""difflib's measure, from which a word passes for a misspelt one: "stauts" is 0.83 from "status"."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that is most like `word`, "" where none is alike."""
    by_lower = {each.lower(): each for each in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=CLOSE)
    return by_lower[found[0]] if found else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What ends a sentence about an unknown word: a question about the nearest one, or nothing."""
    found = nearest(word, known)
    return f"; did you mean {found}?" if found else ""
