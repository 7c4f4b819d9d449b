"""Which texts of master data are taken: what XML can carry, what people can tell apart; and how
a text of a stranger is shown to people."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from adapter.model.spreadsheets import number_problem, shortened_problem

LONGEST: Final = 200
"""Characters of an id or another text."""

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls, formats (bidi, zero width), halves of pairs, private and unassigned ones, line ends."""
_TRACELESS: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
"""Letters and marks that leave no trace: fillers, joiners, selectors of variants."""
_TWINS: Final = frozenset({"LATIN", "CYRILLIC", "GREEK"})
"""Alphabets whose letters look alike: one id is written in one of them."""


_PARTS: Final = re.compile(r"[/\\]")
_UP: Final = ". or .."

_NO_UNSEEN: Final = (
    r"[^\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0]"
)
TEXT_PATTERN: Final = rf"^{_NO_UNSEEN}*$(?!\n)"
"""What can be said of `text_problem` in a regular expression: for those who read a document."""
ID_PATTERN: Final = rf"^(?!\s){_NO_UNSEEN}+(?<!\s)$(?!\n)"
"""Likewise of `id_problem`."""


def text_problem(text: str, *, longest: int = LONGEST) -> str | None:
    """What is wrong with a text of master data, or None."""
    if len(text) > longest:
        return f"at most {longest} characters, not {len(text)}"
    if text.isascii() and text.isprintable():
        return None
    for at, each in enumerate(text, 1):
        if unicodedata.category(each) in _UNSEEN or _TRACELESS.match(each):
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
    if any(part in (".", "..") for part in _PARTS.split(text)):
        return f"{text[:40]} has {_UP} between slashes, as a path has"
    if text.isascii():
        return shortened_problem(text)
    if not unicodedata.is_normalized("NFKC", text):
        return "has characters that are forms of others, as full-width ones"
    scripts = {unicodedata.name(each, "").partition(" ")[0] for each in text if each.isalpha()}
    if len(scripts & _TWINS) > 1:
        return f"mixes alphabets: {', '.join(sorted(scripts & _TWINS)).lower()}"
    return None


def registry_id_problem(text: str) -> str | None:
    """What is wrong with the id of a new device, service point or group, or None: as `id_problem`,
    and what a spreadsheet has made of one."""
    return id_problem(text) or number_problem(text)


def endpoint_problem(text: str) -> str | None:
    """What is wrong with a new endpoint, or None: as `sendable_problem`, and what a spreadsheet has
    made of one."""
    if (problem := sendable_problem(text)) is not None:
        return problem
    if text.endswith("."):
        return f"{text[:40]} ends with a point, as a spreadsheet leaves a number"
    return number_problem(text)


def sendable_problem(text: str) -> str | None:
    """What is wrong with an endpoint of the registry, or None: ASCII that is seen, without blanks
    around it."""
    if not text.isascii():
        return "must be ASCII"
    return id_problem(text)


_CYRILLIC: Final = "АВЕЅІЈКМНОРСТХҮаеѕіјорсухһ"
_AS_CYRILLIC: Final = "ABESIJKMHOPCTXYaesijopcyxh"
_GREEK: Final = "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧο"
_AS_GREEK: Final = "ABEZHIKMNOPTYXo"
_LATIN: Final = str.maketrans(_CYRILLIC + _GREEK, _AS_CYRILLIC + _AS_GREEK)


def twin_key(text: str) -> str:
    """What two ids have in common that people take for one: case, and letters of other alphabets
    that look like Latin ones."""
    return text.translate(_LATIN).casefold().translate(_LATIN)


def twins_of(text: str) -> Iterator[str]:
    """Spellings under which a twin of an id may be known, case of ASCII aside: in Latin, in
    Cyrillic, in Greek."""
    latin = text.translate(_LATIN)
    found = {latin}
    for theirs, ours in ((_CYRILLIC, _AS_CYRILLIC), (_GREEK, _AS_GREEK)):
        table = str.maketrans(ours, theirs)
        found |= {each.translate(table) for each in (latin, latin.upper(), latin.lower())}
    yield from sorted(found)


# What a stranger wrote and people are shown: nothing that moves, hides or turns round what stands
# beside it. Those of _UNSEEN but for private and unassigned ones, which do nothing to a terminal.
_CONTROLS: Final = (
    r"\u0000-\u001f\u007f-\u009f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e"
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    r"\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0001\U000e0020-\U000e007f"
)
_IN_A_LINE: Final = re.compile(rf"[{_CONTROLS}]")
_IN_A_TEXT: Final = re.compile(rf"(?![\n\t])[{_CONTROLS}]")
_BY_NAME: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def visible_line(text: str) -> str:
    """`text` in one line: controls, line ends, bidi and zero width characters and halves of pairs
    as escapes (`\\x1b`, `\\u202e`, `\\n`)."""
    return _IN_A_LINE.sub(_escape, text)


def visible(text: str) -> str:
    """As `visible_line`, but lines and tabs stay."""
    return _IN_A_TEXT.sub(_escape, text)


def visible_json(text: str) -> str:
    """`text`, which is JSON, with the same characters as JSON's own escapes: it reads the same."""
    return _IN_A_TEXT.sub(_json_escape, text)


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    if found[0] in _BY_NAME:
        return _BY_NAME[found[0]]
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _json_escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number < 0x10000:
        return f"\\u{number:04x}"
    high, low = divmod(number - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
