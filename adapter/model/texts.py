"""Which texts of master data are taken: what XML can carry, what people can tell apart."""

import unicodedata
from typing import Final

LONGEST: Final = 200
"""Characters of an id or another text."""

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls, formats (bidi, zero width), halves of pairs, private and unassigned ones, line ends."""
_TWINS: Final = frozenset({"LATIN", "CYRILLIC", "GREEK"})
"""Alphabets whose letters look alike: one id is written in one of them."""


_NO_UNSEEN: Final = (
    r"[^\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
TEXT_PATTERN: Final = rf"^{_NO_UNSEEN}*$(?!\n)"
"""What can be said of `text_problem` in a regular expression: for those who read a document."""
ID_PATTERN: Final = rf"^(?!\s){_NO_UNSEEN}+(?<!\s)$(?!\n)"
"""Likewise of `id_problem`."""


def text_problem(text: str) -> str | None:
    """What is wrong with a text of master data, or None."""
    if len(text) > LONGEST:
        return f"at most {LONGEST} characters, not {len(text)}"
    if text.isascii() and text.isprintable():
        return None
    for at, each in enumerate(text, 1):
        if unicodedata.category(each) in _UNSEEN:
            return f"character {at} is U+{ord(each):04X}, which nobody sees"
    if not unicodedata.is_normalized("NFC", text):
        return "must be in Unicode's composed form (NFC)"
    return None


def id_problem(text: str) -> str | None:
    """What is wrong with an id, or None: also blanks around it, and look-alikes of other ids."""
    if not text:
        return "is needed"
    if text != text.strip():
        return "has blanks around it"
    if (problem := text_problem(text)) is not None:
        return problem
    if text.isascii():
        return None
    if not unicodedata.is_normalized("NFKC", text):
        return "has characters that are forms of others, as full-width ones"
    scripts = {unicodedata.name(each, "").partition(" ")[0] for each in text if each.isalpha()}
    if len(scripts & _TWINS) > 1:
        return f"mixes alphabets: {', '.join(sorted(scripts & _TWINS)).lower()}"
    return None


def endpoint_problem(text: str) -> str | None:
    """What is wrong with an endpoint, or None: ASCII that is seen, without blanks around it."""
    if not text.isascii():
        return "must be ASCII"
    return id_problem(text)
