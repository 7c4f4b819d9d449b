"""Decimal numbers from outside, in one spelling: as the numeric types of XML Schema are written.

ASCII digits with a point, a sign, an exponent; no blanks or underscores in it, no NaN, no infinity.
"""

import json
import re
from decimal import Decimal
from typing import Final

DECIMAL_PATTERN: Final = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_FORM: Final = re.compile(DECIMAL_PATTERN.strip("^$"))
_LONGEST: Final = 120


def read_decimal(text: str) -> Decimal:
    """The number that `text` is, blanks around it aside. Raises ValueError."""
    text = text.strip(" \t\r\n")
    if len(text) > _LONGEST or _FORM.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is not a number, as 1234.5")
    return Decimal(text)


def decimal_of_json(raw: bytes) -> Decimal:
    """The number of a JSON number, or of a JSON text, digit by digit. Raises ValueError."""
    return read_decimal(decimal_text_of_json(raw))


def decimal_text_of_json(raw: bytes) -> str:
    """What such a number is written as. Raises ValueError."""
    text = raw.decode()
    return str(json.loads(text)) if text.startswith('"') else text
