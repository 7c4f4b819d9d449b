"""Who is logged in: kept in memory, for as long as the key is in force."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from adapter.server.credentials import ApiKeys, Caller


@dataclass(slots=True, kw_only=True)
class ConsoleSession:
    """`csrf` has to be in every form that is sent; `notice` is shown once, on the next page."""

    caller: Caller
    ends_at: datetime
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    notice: str = ""


class Sessions:
    """At most `most`: past it the caller's own that was used least recently ends, else the one of
    all. A restart ends them all."""

    def __init__(self, keys: ApiKeys, *, most: int, lasts: timedelta) -> None:
        self._keys = keys
        self._most = most
        self._lasts = lasts
        self._sessions: dict[str, ConsoleSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, caller: Caller, *, now: datetime) -> str:
        """The id for the cookie: 256 random bits."""
        ends = now + self._lasts
        if caller.expires_at is not None:
            ends = min(ends, caller.expires_at)
        made = secrets.token_urlsafe(32)
        self._sessions[made] = ConsoleSession(caller=caller, ends_at=ends)
        while len(self._sessions) > self._most:
            others = (each for each in self._sessions if each != made)
            mine = (each for each in others if self._sessions[each].caller.name == caller.name)
            self._sessions.pop(next(mine, None) or next(iter(self._sessions)))
        return made

    def get(self, given: str, *, now: datetime) -> ConsoleSession | None:
        """None where there is none, its time is over, or its key was withdrawn or changed."""
        session = self._sessions.pop(given, None)
        if session is None or now >= session.ends_at:
            return None
        if not self._keys.in_force(session.caller, now=now):
            return None
        self._sessions[given] = session  # the last used stands last
        return session

    def end(self, given: str) -> None:
        self._sessions.pop(given, None)
