"""Deadlines and retry policy of commands, in seconds. No clock: `now` is handed in.

The head end prescribes none of these figures; they are ours, one row per command kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Final

from adapter.commands.flows import READ_KINDS, SWITCH_KINDS, CommandKind
from adapter.errors import InvalidRequest
from adapter.model.bounds import Count, PositiveSeconds, Seconds

_YEARS: Final = range(1900, 9000)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Waits double from `first_wait_s` to `longest_wait_s`.

    `attempts` bounds new attempts at what may have been taken, and looks; what provably did
    nothing is tried again until the command expires.
    """

    attempts: Annotated[Count, "tries at what may have been taken; else until expiry"] = 5
    first_wait_s: Annotated[Seconds, "wait before the second try; doubles"] = 5.0
    longest_wait_s: Annotated[Seconds, "longest wait between tries"] = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The clocks of one command kind. Callbacks usually come before the first poll; of switch
    state reads there is at least one, for without it nobody would learn of an order that worked."""

    expires_s: Annotated[
        PositiveSeconds, "from acceptance to the end of sending, if none is asked for"
    ] = 86_400.0
    send_s: Annotated[
        PositiveSeconds, "from the intent to send until silence counts as unclear"
    ] = 60.0
    reply_s: Annotated[PositiveSeconds, "from the head end's token to the result"] = 1_800.0
    poll_first_s: Annotated[Seconds, "from the token to the first GetRequestStatus"] = 60.0
    poll_every_s: Annotated[PositiveSeconds, "between further polls; doubles"] = 60.0
    poll_longest_s: Annotated[PositiveSeconds, "longest time between polls"] = 900.0
    settle_s: Annotated[Seconds, "listening for an unclear switch order before each look"] = 900.0
    settle_looks: Annotated[Count, "switch state reads before a person is asked"] = 2
    hold_s: Annotated[Seconds, "an error waits so long for a person, then is discarded"] = 3_600.0
    measurement_s: Annotated[Seconds, "a read waits so long for its data after the result"] = (
        3_600.0
    )
    max_endpoints: Annotated[Count, "endpoints in one request; larger ones are split"] = 1_000
    retry: RetryPolicy = field(default_factory=RetryPolicy)


def default_policies() -> dict[CommandKind, Policy]:
    rows = {kind: Policy() for kind in CommandKind}
    for kind in SWITCH_KINDS:
        rows[kind] = Policy(expires_s=4 * 3_600.0)
    for kind in READ_KINDS:
        rows[kind] = Policy(reply_s=4 * 3_600.0)
    return rows


POLICIES: Final[Mapping[CommandKind, Policy]] = MappingProxyType(default_policies())


_MOST_DOUBLINGS: Final = 40
"""Far past any cap; a longer row of doublings no longer fits a float."""


def in_utc(field: str, at: datetime) -> datetime:
    """A time that was given, in UTC. Raises InvalidRequest for one that names no zone, and at the
    edges of the calendar, past which no deadline could be counted from it."""
    if at.tzinfo is None:
        raise InvalidRequest(field, "needs a time zone")
    if at.year not in _YEARS:
        raise InvalidRequest(field, f"must lie in the years {_YEARS[0]} to {_YEARS[-1]}")
    return at.astimezone(UTC)


def given_in_utc(field: str, at: datetime | None) -> datetime | None:
    """As `in_utc`, where a time was given."""
    return None if at is None else in_utc(field, at)


def after(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)


def backoff(policy: RetryPolicy, tries: int, *, now: datetime) -> datetime:
    """When to try again after `tries` tries, however many they are."""
    doublings = min(max(tries - 1, 0), _MOST_DOUBLINGS)
    return after(now, min(policy.first_wait_s * 2**doublings, policy.longest_wait_s))


def next_try(policy: RetryPolicy, tries: int, *, now: datetime) -> datetime | None:
    """When to try again after `tries` tries, or None when the policy is used up."""
    return None if tries >= policy.attempts else backoff(policy, tries, now=now)


def next_poll(policy: Policy, asked: int, *, now: datetime) -> datetime:
    """When to ask for the status again after `asked` polls."""
    doublings = min(max(asked - 1, 0), _MOST_DOUBLINGS)
    wait = policy.poll_first_s if asked == 0 else policy.poll_every_s * 2**doublings
    return after(now, min(wait, policy.poll_longest_s))
