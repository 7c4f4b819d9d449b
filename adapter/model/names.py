"""Names of those who act: what stands in audits, and whether two may be one person's."""

import hashlib
import re
import unicodedata
from typing import Final

OURS: Final = frozenset(
    {"gateway", "head-end", "listener", "master_data", "api", "command line", "unknown", "sighup"}
)
"""Who acts in the audit, and is no person."""

_LOOK_ALIKE: Final = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l"})
_AS_ONE: Final = (("rn", "m"), ("vv", "w"))
"""Letters that are one at a glance."""
_BETWEEN: Final = re.compile(r"[\W_]+")
_MARK: Final = re.compile(r"(.*) #([0-9a-f]{16})", re.DOTALL)


def seen(name: str) -> str:
    """A name as it is taken at a glance: two that are the same here may be one person's."""
    letters = _decomposed(name).casefold().translate(_LOOK_ALIKE)
    letters = _BETWEEN.sub("", letters)
    for several, single in _AS_ONE:
        letters = letters.replace(several, single)
    return letters


def marked(name: str, issuer: str, subject: str) -> str:
    """A name that somebody may give himself, with a mark of who he is to his issuer: another name
    of the same person has the same mark."""
    mark = hashlib.sha256(f"{issuer}\n{subject}".encode()).hexdigest()[:16]
    return f"{name} #{mark}"


def alike(one: str, other: str) -> bool:
    """Whether two names may be one person's: they look alike, or have one mark."""
    (name, mark), (name_2, mark_2) = _parted(one), _parted(other)
    return seen(name) == seen(name_2) or (bool(mark) and mark == mark_2)


def person(name: str) -> str:
    """What all names of one person have in common: the mark, or else the name itself."""
    return _parted(name)[1] or name


def _parted(name: str) -> tuple[str, str]:
    """The name and its mark; "" where it has none."""
    found = _MARK.fullmatch(name)
    return (name, "") if found is None else (found[1], found[2])


def name_problem(name: str) -> str | None:
    """Why nobody can act under a name; None where it is good."""
    if not name or not name.isprintable():
        return "needs a name"
    if not _decomposed(name).isascii():
        return "a name has Latin letters, with or without accents, digits, and signs of ASCII"
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
