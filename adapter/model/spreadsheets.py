"""What a spreadsheet leaves in a CSV file instead of what was typed: named, never taken."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

_SHORTENED: Final = re.compile(r"-?[0-9]([.,][0-9]+)?E\+[0-9]{2,3}")
_AS_NUMBER: Final = re.compile(r"-?[0-9][0-9.]*\.0*")
"""Also of several groups: no meter's number ends so."""
_ERROR: Final = re.compile(r"#(REF!|N/A|NAME\?|VALUE!|DIV/0!|NUM!|NULL!|#+)", re.IGNORECASE)


def shortened_problem(text: str) -> str | None:
    """Whether a text is a long number as a spreadsheet shortens it: its digits are lost."""
    if _SHORTENED.fullmatch(text) is None:
        return None
    return f"{text} is a number that a spreadsheet has shortened; its column must be of texts"


def number_problem(text: str) -> str | None:
    """Whether an id is what a spreadsheet makes of one when it takes it for a number, or a text:
    1234.0, 1234., '1234."""
    if text.startswith(("'", "\u2019")):
        return f"{text[:40]} begins with the apostrophe by which a spreadsheet marks a text"
    if _AS_NUMBER.fullmatch(text):
        return f"{text[:40]} is a number as a spreadsheet has it; its column must be of texts"
    return shortened_problem(text)


def cell_problem(cell: str) -> str | None:
    """What a spreadsheet has done to a cell, or None."""
    if cell.startswith("="):
        return f"{cell[:40]} is a formula of a spreadsheet; its column must be of texts"
    if _ERROR.fullmatch(cell):
        return f"{cell[:40]} is what a spreadsheet shows where it has no value"
    return shortened_problem(cell)


def header_problem(header: Sequence[str]) -> str | None:
    """What is wrong with a header as a whole, or None."""
    if len(header) == 1 and (mark := next((each for each in ";\t|" if each in header[0]), None)):
        named = "tabs" if mark == "\t" else mark
        return f"has {named} between its cells; they must be commas"
    unnamed = [at for at, name in enumerate(header, 1) if not name]
    if not unnamed or len(unnamed) == len(header):
        return None
    last = max(at for at in range(1, len(header) + 1) if at not in unnamed)
    if unnamed[0] < last:
        return f"column {unnamed[0]} has no name"
    which = f"columns {unnamed[0]} to {unnamed[-1]} have"
    if len(unnamed) == 1:
        which = f"column {unnamed[0]} has"
    return f"{which} no name: a spreadsheet leaves such at the end; delete them there"


def width_problem(row: Mapping[str | None, object]) -> str:
    """What is said of a row of csv.DictReader that has another number of cells than the header."""
    more = row.get(None)
    if isinstance(more, list) and not any(more):
        return f"has {len(more)} empty cells more than the header: a spreadsheet leaves such"
    return "has another number of cells than the header"
