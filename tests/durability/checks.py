"""The three ledgers against each other: THE RULES, and a report in Jepsen's words.

lost         acknowledged, and no longer there; or accepted, and never brought to an end
doubled      took effect twice, or reached the head end twice on a guess
unexpected   there without a cause
unknown      ended as unknown, and says so: allowed, counted, never silent
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from adapter.commands.activity import (
    Command,
    CompletionState,
    State,
)
from adapter.commands.calls import SwitchState
from adapter.commands.flows import SWITCH_KINDS, CommandKind
from adapter.engine.commands.ports import AuditEntry, InboxState
from adapter.model.ids import DeviceId, EventId
from adapter.orders.order import ERROR_STATES
from tests.durability.ledgers import HeadEndLedger, Order, StoreLedger, endpoint_of
from tests.durability.orders import OrderAttempt
from tests.durability.requesters import Attempt


class Wrong(StrEnum):
    LOST = "lost"
    DOUBLED = "doubled"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True)
class Finding:
    wrong: Wrong
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.wrong} ({self.rule}): {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledgers:
    requesters: Sequence[Attempt]
    orders: Sequence[OrderAttempt] = ()
    head_end: HeadEndLedger
    store: StoreLedger


Found = Iterator[Finding]
Rule = Callable[[Ledgers], Found]
L, D, U = Wrong.LOST, Wrong.DOUBLED, Wrong.UNEXPECTED


# ---------------------------------------------------------------- requesters and store


def acknowledged_is_there(all_: Ledgers) -> Found:
    """I1, I12: what was acknowledged is in the store, once for each key, under one id."""
    by_key = Counter(item.request.idempotency_key for item in all_.store.commands.values())
    for attempt in all_.requesters:
        for told in attempt.ids:
            if told not in all_.store.commands:
                yield Finding(L, "acknowledged", f"{attempt.key} was acknowledged as {told}")
        if len(set(attempt.ids)) > 1:
            yield Finding(D, "acknowledged", f"{attempt.key} has the ids {attempt.ids}")
        if by_key[attempt.key] > 1:
            yield Finding(D, "acknowledged", f"{by_key[attempt.key]} commands for {attempt.key}")
    known = {attempt.key for attempt in all_.requesters}
    for command in all_.store.commands.values():
        asked_by_order = command.request.order in all_.store.orders
        if command.request.idempotency_key not in known and not asked_by_order:
            yield Finding(U, "acknowledged", f"nobody asked for {command.id}")


def orders_are_there_and_end(all_: Ledgers) -> Found:
    """Service orders: once for each reference, under one id, brought to an end.

    One that waits for people because of an unknown outcome is where it has to be.
    """
    by_reference = Counter(order.external_reference for order in all_.store.orders.values())
    for attempt in all_.orders:
        if attempt.ids and by_reference[attempt.reference] != 1:
            wrong = D if by_reference[attempt.reference] else L
            text = f"{by_reference[attempt.reference]} orders for {attempt.reference}"
            yield Finding(wrong, "orders", text)
        if len(set(attempt.ids)) > 1:
            yield Finding(D, "orders", f"{attempt.reference} has the ids {attempt.ids}")
    known = {attempt.reference for attempt in all_.orders}
    unknown = {
        command.request.order
        for command in all_.store.commands.values()
        if command.activity.state is State.NEEDS_PERSON
    }
    for order in all_.store.orders.values():
        if order.external_reference not in known:
            yield Finding(U, "orders", f"nobody asked for {order.id}")
        if not order.final and not (order.state in ERROR_STATES and order.id in unknown):
            yield Finding(L, "orders", f"{order.id} has stopped in {order.state}")
    told = Counter(
        (row.publication.subject, row.publication.type)
        for row in all_.store.publications
        if row.publication.type.startswith("openway.order.reply.")
    )
    for (order_id, kind), count in told.items():
        if count > 1 and not kind.endswith(".interim"):
            yield Finding(D, "orders", f"{count} replies {kind} of {order_id}")
        if order_id not in all_.store.orders:
            yield Finding(U, "orders", f"a reply of {order_id}, which is not in the store")


def final_once(all_: Ledgers) -> Found:
    """I1: one final state, or people are asked; told once, and never another one."""
    ends: defaultdict[str, list[str]] = defaultdict(list)
    finals = {f"openway.command.{state}" for state in State if state.rests}
    for row in all_.store.publications:
        if row.publication.type in finals:
            ends[row.publication.subject].append(row.publication.type.rpartition(".")[2])
    for command in all_.store.commands.values():
        state = command.activity.state
        if not state.rests:
            yield Finding(L, "final", f"{command.id} has stopped in {state}")
        elif not ends[command.id]:
            yield Finding(L, "final", f"the end of {command.id} was never told")
        elif ends[command.id] != [state]:
            yield Finding(D, "final", f"{command.id} is {state}, told were {ends[command.id]}")
    for attempt in all_.requesters:
        command_now = all_.store.commands.get(attempt.ids[0]) if attempt.ids else None
        if command_now and any(told != command_now.activity.state for told in attempt.told):
            now = command_now.activity.state
            yield Finding(U, "final", f"{attempt.key} was told {attempt.told}, it is {now}")


def moves_are_a_chain(all_: Ledgers) -> Found:
    """I11: by the audit, every change begins where the one before it ended."""
    at: dict[str, str] = {}
    yield from _follow(all_.store.audit, at)
    for command in all_.store.commands.values():
        states: dict[str, str] = {command.id: command.activity.state}
        states |= {item.id: item.state for item in command.communications}
        for subject, state in states.items():
            if subject in at and at[subject] != state:
                text = f"{subject} is {state}, by the audit it is {at[subject]}"
                yield Finding(U, "moves", text)


def _follow(audit: Iterable[AuditEntry], at: dict[str, str]) -> Found:
    """Follow every move; `at` is where each command and communication is in the end."""
    for entry in audit:
        moves = entry.note.detail.get("moves", [])
        assert isinstance(moves, list)
        for subject, before, after in moves:
            known = at.get(subject, State.PENDING if subject == entry.note.subject else "")
            if known != before:
                text = f"audit {entry.seq}: {subject} was {known!r}, moved from {before!r}"
                yield Finding(U, "moves", text)
            at[subject] = after


def is_a_chain(audit: Iterable[AuditEntry]) -> bool:
    """Whether every change so far begins where the one before it ended."""
    return next(_follow(audit, {}), None) is None


def audit_is_whole(all_: Ledgers) -> Found:
    """I6: the chain has no break, and every command an entry of its acceptance."""
    if all_.store.broken_chain:
        yield Finding(L, "audit", all_.store.broken_chain)
    submitted = Counter(
        entry.note.subject for entry in all_.store.audit if entry.note.action == "Submitted"
    )
    for command in all_.store.commands:
        if submitted[command] != 1:
            wrong = L if submitted[command] == 0 else D
            yield Finding(wrong, "audit", f"{submitted[command]} acceptances of {command}")


# ---------------------------------------------------------------- head end and store


def switch_orders_are_sent_once(all_: Ledgers) -> Found:
    """I3: a switch order reaches the head end again only after it refused the one before."""
    by_command: defaultdict[str, list[Order]] = defaultdict(list)
    for order in all_.head_end.switch_orders:
        by_command[order.command].append(order)
    for command, orders in by_command.items():
        stored = all_.store.commands.get(command)
        if stored is None:
            yield Finding(U, "switch orders", f"one came for {command}, which is not in the store")
            continue
        for order in orders[:-1]:
            if not order.refused:
                text = f"{command}: again after order {order.sequence}, which was not refused"
                yield Finding(D, "switch orders", text)
        sent = {item.id for item in stored.communications if item.sent_at is not None}
        for order in orders:
            if order.communication not in sent:
                text = f"{order.communication} came, but was never noted as being sent"
                yield Finding(U, "switch orders", text)


def one_in_flight(all_: Ledgers) -> Found:
    """I7: by the head end's clock, no two switch orders of a meter overlap."""
    open_end = datetime.max.replace(tzinfo=UTC)
    until: dict[str, tuple[datetime, str]] = {}
    for job in sorted(all_.head_end.jobs, key=lambda job: job.began):
        ended, token = until.get(job.endpoint, (job.began, ""))
        if job.began < ended:
            text = f"{job.endpoint}: {job.token} began before {token} had ended"
            yield Finding(U, "one in flight", text)
        until[job.endpoint] = (job.ended or open_end, job.token)


def callbacks_are_kept(all_: Ledgers) -> Found:
    """I4: what was answered 200 is in the inbox byte for byte, and nothing else is."""
    received = all_.store.received
    for digest, count in (all_.head_end.answered - received).items():
        yield Finding(L, "callbacks", f"{count} answered with 200 and not stored: {digest[:12]}")
    for digest, count in (received - all_.head_end.tried).items():
        yield Finding(U, "callbacks", f"{count} stored and never sent: {digest[:12]}")


def messages_are_conserved(all_: Ledgers) -> Found:
    """I10: received = stored + quarantined, and each of them was judged."""
    counts, store = all_.store.counts, all_.store
    if counts.received != len(store.inbox) or counts.accepted != len(store.commands):
        text = f"{counts.received} messages, {counts.accepted} commands are counted"
        yield Finding(U, "conservation", text)
    sent = sum(
        communication.sent_at is not None
        for command in store.commands.values()
        for communication in command.communications
    )
    counted = sum(counts.communications_by_state.values())
    if counted != sent:
        text = f"{counted} sends are counted, {sent} communications were sent"
        yield Finding(U, "conservation", text)
    for row in store.inbox:
        if row.state in (InboxState.NEW, InboxState.PARKED):
            yield Finding(L, "conservation", f"message {row.id} is {row.state}: {row.reason}")
        elif row.state is InboxState.QUARANTINED:
            yield Finding(U, "conservation", f"message {row.id} is quarantined: {row.reason}")


# ---------------------------------------------------------------- effects


def completions_take_effect_once(all_: Ledgers) -> Found:
    """I2: the on/off history has one entry for each executed event of a switch, none besides."""
    causes = Counter(
        (view.device.id, entry.cause, entry.on)
        for view in all_.store.devices.values()
        if view.installed is not None
        for entry in view.installed.history
    )
    wanted: Counter[tuple[DeviceId, EventId, bool]] = Counter()
    for command in _of_kinds(all_, SWITCH_KINDS):
        on = command.request.kind is CommandKind.REMOTE_CONNECT
        for event in command.activity.completions:
            if event.state is CompletionState.EXECUTED:
                wanted[(command.request.devices[0], event.id, on)] += 1
    for row, count in (wanted - causes).items():
        yield Finding(L, "effects", f"{count} effect of {row} is missing")
    for row, count in (causes - wanted).items():
        by_crew = row[1].partition(".")[0] in all_.store.orders
        if row in wanted or (by_crew and count > 1):
            yield Finding(D, "effects", f"{count} too many of {row}")
        elif not by_crew:
            yield Finding(U, "effects", f"{row} has no cause")
    executed = Counter(
        str(entry.note.detail.get("event"))
        for entry in all_.store.audit
        if entry.note.action == "CompletionExecuted"
    )
    for event_id, times in executed.items():
        if times > 1:
            yield Finding(D, "effects", f"{event_id} was executed {times} times")


def endpoints_are_accounted_for(all_: Ledgers) -> Found:
    """I16: every endpoint of a command for many ends in exactly one outcome."""
    for command in all_.store.commands.values():
        counts = command.activity.tally
        total = counts.succeeded + counts.failed + counts.missing + counts.unknown
        if total != counts.requested:
            yield Finding(U, "outcomes", f"{command.id}: {total} outcomes of {counts.requested}")
        if counts.requested and counts.requested != len(command.targets):
            text = f"{command.id}: {counts.requested} of {len(command.targets)} endpoints counted"
            yield Finding(L, "outcomes", text)


def registry_is_as_the_meters_are(all_: Ledgers) -> Found:
    """The end of it all: registry and meter agree, but where an outcome is known to be unknown."""
    unknown = {
        command.request.devices[0]
        for command in _of_kinds(all_, SWITCH_KINDS)
        if command.activity.state is State.NEEDS_PERSON
    }
    touched = {command.request.devices[0] for command in _of_kinds(all_, SWITCH_KINDS)}
    for device in sorted(touched - unknown):
        view = all_.store.devices[device]
        meter = all_.head_end.meters[endpoint_of(view)]
        assert view.installed is not None
        closed = meter.switch is SwitchState.CONNECTED
        if view.installed.connected is not closed:
            text = f"{device}: registry {view.installed.status}, meter {meter.switch}"
            yield Finding(L if view.installed.connected else U, "registry", text)


def publications_arrive(all_: Ledgers) -> Found:
    """I2, outwards: every one at least once, under its one id."""
    stored = Counter(row.publication.id for row in all_.store.publications)
    for known, count in stored.items():
        if count > 1:
            yield Finding(D, "publications", f"{count} of {known} are stored")
        stopped = known.startswith("signal:stopped")  # the next start would offer it
        if not all_.store.sent_to_sink[known] and not stopped:
            yield Finding(L, "publications", f"{known} never arrived")
    for stranger in all_.store.sent_to_sink.keys() - stored.keys():
        yield Finding(U, "publications", f"{stranger} arrived and is not in the store")


def _of_kinds(all_: Ledgers, kinds: Iterable[CommandKind]) -> Iterator[Command]:
    wanted = frozenset(kinds)
    return (item for item in all_.store.commands.values() if item.request.kind in wanted)


RULES: Final[tuple[Rule, ...]] = (
    acknowledged_is_there,
    orders_are_there_and_end,
    final_once,
    moves_are_a_chain,
    audit_is_whole,
    switch_orders_are_sent_once,
    one_in_flight,
    callbacks_are_kept,
    messages_are_conserved,
    completions_take_effect_once,
    endpoints_are_accounted_for,
    registry_is_as_the_meters_are,
    publications_arrive,
)


# ---------------------------------------------------------------- report


@dataclass(slots=True, kw_only=True)
class Report:
    title: str
    attempted: int
    acknowledged: int
    ok: int
    unknown: int
    states: Counter[str]
    kills: int
    orders: Counter[str]
    switch_orders: int
    callbacks: int
    stored: int
    republished: int
    unclear_sends: int
    service_orders: int = 0
    findings: list[Finding] = field(default_factory=list)

    def count(self, wrong: Wrong) -> int:
        return sum(finding.wrong is wrong for finding in self.findings)

    def __str__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        lines = [
            f"{self.title}: the gateway was killed {self.kills} times",
            f"  attempted {self.attempted}, acknowledged {self.acknowledged}, ok {self.ok}, "
            f"unknown {self.unknown}",
            f"  lost {self.count(L)}, doubled {self.count(D)}, unexpected {self.count(U)}",
            f"  ended: {states}; and {self.service_orders} service orders",
            f"  {self.orders.total()} requests reached the head end, {self.switch_orders} of them "
            "moved a switch",
            f"  {self.callbacks} callbacks were answered with 200, {self.stored} messages are "
            "stored",
            f"  {self.unclear_sends} sends were unclear, none of a switch order was repeated"
            if not self.count(D)
            else f"  {self.unclear_sends} sends were unclear",
            f"  {self.republished} publications were delivered more than once, each under its id",
        ]
        lines += [f"  ! {finding}" for finding in self.findings[:20]]
        return "\n".join(lines)


def judge(ledgers: Ledgers, *, title: str, kills: int) -> Report:
    """All rules over all ledgers."""
    states = [item.activity.state for item in ledgers.store.commands.values()]
    unknown = states.count(State.NEEDS_PERSON)
    ended = sum(state.rests for state in states)
    return Report(
        title=title,
        attempted=len(ledgers.requesters),
        acknowledged=sum(attempt.acknowledged for attempt in ledgers.requesters),
        ok=ended - unknown,
        unknown=unknown,
        states=Counter(state.value for state in states),
        kills=kills,
        orders=Counter(order.operation for order in ledgers.head_end.orders.values()),
        switch_orders=len(ledgers.head_end.switch_orders),
        callbacks=ledgers.head_end.answered.total(),
        stored=len(ledgers.store.inbox),
        service_orders=len(ledgers.store.orders),
        unclear_sends=sum(entry.note.action == "SendUnclear" for entry in ledgers.store.audit),
        republished=sum(count > 1 for count in ledgers.store.sent_to_sink.values()),
        findings=[finding for rule in RULES for finding in rule(ledgers)],
    )
