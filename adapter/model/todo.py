"""The kinds of what waits for people."""

from enum import StrEnum


class TodoSubject(StrEnum):
    COMMAND = "command"
    ORDER = "order"
    VISIT = "visit"
    """A field activity."""
    REQUEST = "request"
    """To cancel or update an order."""
    REPLY = "reply"
    UNDELIVERED = "undelivered"
    """Events that a receiver does not take."""
    MESSAGE = "message"
    """In quarantine."""
    SET_ASIDE = "set_aside"
    """A row of any loop that failed unexpectedly, by its number."""
    ERROR_RECORD = "error_record"
    """What of a payload gave no measurement."""
    UNKNOWN_EVENT = "unknown_event"
    """An event of a meter that no table knows."""
    SUBSCRIPTION = "subscription"
    HEAD_END = "head_end"
    """It does not answer, or late."""
    SILENCE = "silence"
    SWITCH_HOLD = "switch_hold"
    """No switch order leaves; the clock is one of the reasons."""
