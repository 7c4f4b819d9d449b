"""Whether a command printed what its page says: by shape, where something varies.

`...` alone on a line stands for any lines, within a line for any text. Times, ids, request tokens
and decimal fractions are compared by their shape; blanks and the rules of tables by being there. A
word of PLACEHOLDERS stands for one value, the same wherever the page has it.
"""

import re
from collections.abc import Mapping
from typing import Final

PLACEHOLDERS: Final = (
    "COMMAND", "ORDER", "SCHEDULE", "REQUEST", "OVERRIDE",
    "TOKEN", "SECOND_TOKEN", "LINE", "SECOND_LINE",
)  # fmt: skip
ANY: Final = "..."
_SHAPES: Final = (
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?",  # a time
    r"\d{4}-\d\d-\d\d",
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",  # a request token
    r"\b[0-9a-f]{64}\b",  # a hash
    r"\b01[0-9a-z]{24}\b",  # an id of ours
    r"(?<![\w.])-?\d+\.\d+(?![\w.])",
)
_VARYING: Final = re.compile(
    "|".join((re.escape(ANY), rf"\b(?:{'|'.join(PLACEHOLDERS)})\b", *_SHAPES))
)


_LINE: Final = ".+"
_WORD: Final = r"[^\s,;\"]+"


class Differs(AssertionError):
    """What was printed is not what the page says."""


def compare(expected: str, printed: str, known: Mapping[str, str]) -> dict[str, str]:
    """What the placeholders that were not known yet stand for. Raises Differs."""
    unbound = {name: name for name in PLACEHOLDERS if name not in known}
    pattern = "".join(_line(line, known, unbound) for line in lines(expected))
    found = re.fullmatch(pattern, "".join(f"{line}\n" for line in lines(printed)))
    if found is None:
        raise Differs(f"expected, by shape:\n{expected}\nprinted:\n{printed}")
    return found.groupdict()


def lines(text: str) -> list[str]:
    """The lines that have something, without what only lays them out."""
    told = (re.sub(r"\s+", " ", re.sub("─+", "─", line)).strip() for line in text.splitlines())
    return [line for line in told if line]


def _line(line: str, known: Mapping[str, str], unbound: dict[str, str]) -> str:
    if line == ANY:
        return r"(?:.*\n)*?"
    parts, end = list[str](), 0
    line = re.sub(rf" ?{re.escape(ANY)} ?", ANY, line)  # it may stand for nothing between blanks
    for found in _VARYING.finditer(line):
        parts += [re.escape(line[end : found.start()]), _part(found[0], known, unbound)]
        end = found.end()
    return "".join((*parts, re.escape(line[end:]), r"\n"))


def _part(part: str, known: Mapping[str, str], unbound: dict[str, str]) -> str:
    if part == ANY:
        return ".*?"
    if part in known:
        return re.escape(known[part])
    if part in PLACEHOLDERS:
        if unbound.pop(part, None) is None:
            return f"(?P={part})"
        return rf"(?P<{part}>{_LINE if part.endswith('LINE') else _WORD})"
    return next(f"(?:{shape})" for shape in _SHAPES if re.fullmatch(shape, part))
