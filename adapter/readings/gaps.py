"""What may be missing of a meter's data."""

from enum import StrEnum


class Gap(StrEnum):
    """Why a meter is on a list."""

    NOT_SINCE = "not_since"
    """Its newest value is older than `since`, or it has none."""
    FAILED = "failed"
    """Of its reads since then the newest did not succeed."""
    LATE = "late"
    """The last value of the day came late."""
    INCOMPLETE = "incomplete"
    """It sent fewer intervals of the day than there are, but some."""
    BLOCKS = "blocks"
    """Of the blocks of the day some came, and not all."""
