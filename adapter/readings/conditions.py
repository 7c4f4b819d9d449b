"""What the head end says of an interval -> condition code: six digits, higher means better.

501000 (regular) and 201000 (nothing found) are codes seen in production data bases. The others,
and which status leads to which, are ours (inferred from the names of the statuses); a site
replaces any of them. Of several statuses the worst one decides.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from adapter.model.measurement import NOT_FOUND, REGULAR

MISSING: Final = NOT_FOUND
UNUSABLE: Final = 211000
SUSPECT: Final = 301000
PARTIAL: Final = 401000
OUTAGE: Final = 402000
CLOCK: Final = 403000
NOTED: Final = 500000

DAYLIGHT: Final = "DaylightSavingsTime"
"""That the interval ends in daylight saving time (inferred from the name, as in ANSI C12.19)."""

UNKNOWN_STATUS: Final = SUSPECT
"""For a word that the contract did not have when this was written."""

# fmt: off
_PROFILE: Final = (
    #  dat:ProfileStatus             condition
    ("Unknown",                      SUSPECT),
    ("Overflow",                     UNUSABLE),
    ("PartialInterval",              PARTIAL),
    ("LongInterval",                 PARTIAL),
    ("SkippedInterval",              MISSING),
    ("TestMode",                     SUSPECT),
    (DAYLIGHT,                       REGULAR),
    ("PowerFailure",                 OUTAGE),
    ("ClockResetForward",            CLOCK),
    ("ClockResetBackwards",          CLOCK),
    ("MinThresholdExceeded",         NOTED),
    ("MaxThresholdExceeded",         NOTED),
    ("ConfigurationChanged",         NOTED),
    ("IntervalRecordingStopped",     MISSING),
    ("Underflow",                    UNUSABLE),
    ("TimeError",                    CLOCK),
    ("Tamper",                       SUSPECT),
    ("HardwareFailure",              UNUSABLE),
    ("CommunicationFailure",         MISSING),
    ("PowerRestored",                OUTAGE),
    ("InvalidServiceType",           SUSPECT),
    ("Backflow",                     NOTED),
)
_EXTENDED: Final = (
    #  dat:ExtendedProfileStatus     condition
    ("ReverseFlow",                  NOTED),
    ("RegisterError",                UNUSABLE),
    ("SumOfNoReadIntervals",         PARTIAL),
    ("InterDigit",                   SUSPECT),
    ("TimeChange",                   CLOCK),
    ("TimeChangeShortInterval",      PARTIAL),
    ("Backflow",                     NOTED),
)
# fmt: on
CONDITIONS: Final[Mapping[str, int]] = MappingProxyType(dict(_PROFILE + _EXTENDED))

WITHOUT_VALUE: Final = frozenset({"SkippedInterval", "IntervalRecordingStopped"})
"""Intervals that were not recorded: their number is no measurement, whatever it is (inferred).
A CommunicationFailure keeps its number, under the condition of a missing one."""
