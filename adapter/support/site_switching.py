"""What people and the gateway did about switching while a recording ran: stops, holds, overrides.

Told by the events that went out, and, of what holds or is in force still, by where it stands now.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from adapter.engine.commands.switch_holds import HoldReason
from adapter.replay import decisions
from adapter.replay.scenario import Act, Do
from adapter.support.redaction import Redaction, program_words
from adapter.support.rest import GatewayApi, moment_of, object_of, rows_of

_GATEWAY: Final = "gateway"
_STOPPED: Final = " has stopped switching: "
_ANOTHER: Final = "another person"
"""Whoever has confirmed that switching goes on: the event does not say who."""

Event = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Held:
    """`until` None: it holds still."""

    reason: HoldReason
    since: datetime
    text: str
    until: datetime | None


@dataclass(slots=True)
class SwitchingActs:
    """`events` are those of the gateway, oldest first, from the first recording's start on."""

    events: Sequence[Event]
    holds: Sequence[_Held]
    overrides: Sequence[Event]
    redaction: Redaction

    @classmethod
    def of(cls, api: GatewayApi, events: Sequence[Event], redaction: Redaction) -> "SwitchingActs":
        holds = [
            _held(object_of(each["data"]), moment_of(each["at"]))
            for each in events
            if each["type"] == decisions.RELEASED
        ]
        holds += [_held(each, None) for each in rows_of(api.get("/switch-holds"))]
        overrides = rows_of(api.get("/switching/overrides", {"limit": 200}))
        made = cls(events, holds, overrides, redaction)
        made._learn()
        return made

    def _learn(self) -> None:
        """What people gave as reasons is known whole, wherever a sentence says it again. A single
        word that the program has too names nobody, and stays: sentences would lose it."""
        asked = (decisions.ASKED, decisions.BEGAN, decisions.ENDED)
        written = [
            str(object_of(each["data"]).get("reason") or "")
            for each in self.events
            if each["type"] in asked
        ]
        written += [str(each["reason"]) for each in self.overrides]
        told = [
            str(object_of(each["data"]).get("text") or "")
            for each in self.events
            if each["type"] in (decisions.HELD, decisions.RELEASED)
        ]
        for text in (*told, *(hold.text for hold in self.holds)):
            written.append(text.partition(_STOPPED)[2])
        for each in written:
            if each.strip().lower() not in program_words():
                self.redaction.learn(each, "by")

    def text(self, data: Event) -> str:
        """Of a hold, with pseudonyms for whoever stopped switching, and why."""
        text = str(data["text"])
        if str(data["reason"]) != HoldReason.STOPPED:
            return self.redaction.program_text(text)
        by, found, why = text.partition(_STOPPED)
        return f"{self._name(by)}{found}{self._name(why)}"

    def between(self, start: datetime, end: datetime) -> Iterator[Act]:
        """What was so at the start, and what was done until the end, in order."""
        for hold in self.holds:
            if hold.since < start and (hold.until is None or hold.until >= start):
                yield self._hold(hold.reason, hold.text, at=0.0)
        for each in self.overrides:
            ends = moment_of(each["ended_at"] or each["ends_at"])
            if moment_of(each["begins_at"]) < start < ends:
                yield self._override(each, at=0.0)
        asked = ""
        for each in self.events:
            at = moment_of(each["at"])
            if not start <= at < end:
                continue
            data, seconds = object_of(each["data"]), (at - start).total_seconds()
            match each["type"]:
                case decisions.HELD:
                    held = _held(data, None)
                    yield self._hold(held.reason, held.text, at=seconds)
                case decisions.ASKED:
                    if asked:  # the one before it is over: whoever stops again withdraws it
                        yield Act(do=Do.STOP, at=seconds, by=asked, reason="as recorded")
                    asked = self._name(data["by"])
                    reason = self._name(data["reason"])
                    yield Act(do=Do.RESUME, at=seconds, by=asked, reason=reason)
                case decisions.RELEASED:
                    held = _held(data, at)
                    yield from self._released(held, asked, at=seconds)
                    asked = "" if held.reason is HoldReason.STOPPED else asked
                case decisions.BEGAN:
                    yield self._override(data, at=seconds)
                case decisions.ENDED if data["ended_by"] != _GATEWAY:
                    by = self._name(data["ended_by"])
                    limit = self._name(data["limit"])
                    yield Act(
                        do=Do.END_OVERRIDE, at=seconds, by=by, reason="as recorded", limit=limit
                    )

    def held(self, reason: HoldReason, start: datetime, end: datetime) -> bool:
        """Whether switch orders were held for this at any time between."""
        return any(
            each.reason is reason
            and each.since < end
            and (each.until is None or each.until >= start)
            for each in self.holds
        )

    def told_before(self, start: datetime) -> Iterator[Event]:
        """The events that a gateway gives which takes over what was so at the start."""
        for hold in self.holds:
            if hold.since < start and (hold.until is None or hold.until >= start):
                data: Event = {"reason": hold.reason.value, "text": hold.text}
                yield {
                    "type": decisions.HELD,
                    "subject": "gateway",
                    "severity": "critical",
                    "data": data,
                }
        for each in self.overrides:
            ends = moment_of(each["ended_at"] or each["ends_at"])
            if moment_of(each["begins_at"]) < start < ends:
                data = {**each, "ended_by": ""}
                yield {
                    "type": decisions.BEGAN,
                    "subject": "gateway",
                    "severity": "warning",
                    "data": data,
                }

    def _hold(self, reason: HoldReason, text: str, *, at: float) -> Act:
        if reason is not HoldReason.STOPPED:
            shown = self.redaction.program_text(text)
            return Act(do=Do.HOLD, at=at, by=_GATEWAY, hold=reason, reason=shown)
        by, _, why = text.partition(_STOPPED)
        return Act(do=Do.STOP, at=at, by=self._name(by), reason=self._name(why))

    def _released(self, held: _Held, asked: str, *, at: float) -> Iterator[Act]:
        if held.reason is not HoldReason.STOPPED:
            yield Act(do=Do.RELEASE, at=at, by=_GATEWAY, hold=held.reason, reason="as recorded")
            return
        if not asked:
            first = self._name("the first to ask")
            yield Act(do=Do.RESUME, at=at, by=first, reason="as recorded")
        yield Act(do=Do.RESUME, at=at, by=self._name(_ANOTHER), reason="as recorded")

    def _override(self, data: Event, *, at: float) -> Act:
        return Act(
            do=Do.OVERRIDE,
            at=at,
            by=self._name(data["by"]),
            reason=self._name(data["reason"]),
            limit=self._name(data["limit"]),
            ends_at=moment_of(data["ends_at"]),
        )

    def _name(self, value: object) -> str:
        return self.redaction.name(str(value))


def _held(row: Mapping[str, object], until: datetime | None) -> _Held:
    return _Held(HoldReason(str(row["reason"])), moment_of(row["since"]), str(row["text"]), until)
