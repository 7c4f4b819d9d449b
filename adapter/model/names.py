"""Names of those who act: what stands in audits, and whether two may be one person's."""

import unicodedata
from typing import Final

OURS: Final = frozenset(
    {"gateway", "head-end", "listener", "master_data", "api", "command line", "unknown", "sighup"}
)
"""Who acts in the audit, and is no person."""

_LOOK_ALIKE: Final = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l"})


def seen(name: str) -> str:
    """A name as it is taken at a glance: two that are the same here may be one person's."""
    letters = _decomposed(name).casefold().translate(_LOOK_ALIKE)
    return " ".join(letters.split())


def alike(one: str, other: str) -> bool:
    """Whether two names may be one person's."""
    return seen(one) == seen(other)


def name_problem(name: str) -> str | None:
    """Why nobody can act under a name; None where it is good."""
    if not name or not name.isprintable():
        return "needs a name"
    if not all(each.isascii() for each in _decomposed(name) if each.isalpha()):
        return "letters of a name are Latin ones: a to z, with or without accents"
    if not (name[0].isalnum() and name[-1].isalnum()):
        return "a name begins and ends with a letter or a digit"
    if seen(name) in {seen(each) for each in OURS}:
        return "is what the gateway calls itself"
    return None


def _decomposed(name: str) -> str:
    """Without accents."""
    return "".join(
        each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each)
    )
