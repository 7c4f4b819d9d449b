"""xs:dateTime as head ends write it: one reader for callbacks, results and payloads."""

import re
from datetime import datetime, timedelta, tzinfo
from typing import Final

_FORM: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_END_OF_DAY: Final = re.compile(r"(.{11})24:00:00(?:\.0+)?([Z+-].*)?")
_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_UNSET: Final = ("0001-01-01", "9999-12-31")


def is_unset(text: str) -> bool:
    """Whether nobody set this time: it is .NET's DateTime.MinValue or MaxValue, with or without an
    offset and whatever has become of the hours on the way."""
    return text.lstrip().startswith(_UNSET)


def read_date_time(text: str, zone: tzinfo) -> datetime:
    """Aware; in `zone` where the text has no offset. Fractions past the microsecond are cut.

    24:00:00 is the next day's first moment (XML Schema, part 2, 3.2.7). A leap second, which XML
    Schema does not have, is taken all the same and is the first second after it, as in Unix time:
    whoever sends one means no harm. Raises ValueError, or OverflowError at the calendar's edges.
    """
    if _FORM.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is no xs:dateTime")
    if text.startswith("24", 11) and (found := _END_OF_DAY.fullmatch(text)):
        at = datetime.fromisoformat(f"{found[1]}00:00:00{found[2] or ''}") + _DAY
    elif text.startswith("60", 17):
        at = datetime.fromisoformat(f"{text[:17]}59{text[19:]}") + _SECOND
    else:
        at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=zone)
