"""Which numbers are values of readings: one bound at every door, one spelling of people."""

from decimal import Decimal
from typing import Final

from adapter.model.decimals import decimal_text_of_json, read_decimal
from adapter.model.spreadsheets import shortened_problem

MOST_DIGITS: Final = 29
"""Before and behind the point, zeros at the end aside: what a decimal of .NET has, which is what
the contract's xs:decimal is made of."""
MOST_PLACES: Final = 28
BOUND: Final = f"at most {MOST_DIGITS} digits, {MOST_PLACES} of them behind the point"


def is_bounded(value: Decimal) -> bool:
    """Whether a number may be a value at all: finite, and within the bound; nothing is rounded."""
    if not value.is_finite():
        return False
    if not value:
        return True
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    zeros = 0
    while not digits[-1 - zeros]:
        zeros += 1
    whole, places = max(value.adjusted() + 1, 0), max(-(exponent + zeros), 0)
    return places <= MOST_PLACES and whole + places <= MOST_DIGITS


def read_value(text: str) -> Decimal:
    """The value that people give: typed, in a file, over REST, in a crew's report. What a
    spreadsheet has shortened has lost its digits. Raises ValueError with the rule."""
    if (damage := shortened_problem(text.strip())) is not None:
        raise ValueError(damage)
    try:
        value = read_decimal(text)
    except ValueError:
        value = Decimal("NaN")
    if not is_bounded(value):
        raise ValueError(f"must be a number, as 1234.5, of {BOUND}, not {text.strip()[:40]!r}")
    return value


def value_of_json(raw: bytes) -> Decimal:
    """As `read_value`, of a JSON number, or of a JSON text. Raises ValueError."""
    return read_value(decimal_text_of_json(raw))
