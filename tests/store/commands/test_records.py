"""Every store: inbox, readings, events out, audit, messages, ledger, registry."""

from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType

import pytest

from adapter.commands.activity import CommunicationState, CompletionEvent, CompletionState, State
from adapter.commands.flows import Completion
from adapter.engine.commands.correlator import STATUS_CHANGED
from adapter.engine.commands.ports import (
    ROW_BYTES,
    Change,
    Disposition,
    Import,
    InboxState,
    JudgedMessage,
    LoggedCall,
    Received,
    Rejection,
    Saved,
)
from adapter.errors import NotFound
from adapter.model.device import ComponentKind, DeviceView, InstallStatus, OnOff
from adapter.model.ids import DeviceId, EventId, InboxId, RequestToken
from adapter.model.reading import InitialMeasurement, InitialValue
from adapter.model.values import replace
from tests.builders import (
    NOON,
    a_command,
    a_command_id,
    a_communication,
    a_device,
    a_message,
    a_note,
    a_publication,
    a_service_point,
    a_submission,
    a_token,
    an_awaiting_communication,
    an_install,
    at,
)
from tests.store.commands.conftest import Subject

# ---------------------------------------------------------------- inbox


async def test_a_message_is_kept_byte_for_byte(subject: Subject) -> None:
    raw = bytes(range(256)) * 40
    async with subject.opened() as store:
        first, second = await store.receive(
            [a_message(raw, communication=a_communication().id), a_message(b"")]
        )
        assert first < second
    async with subject.opened() as store:
        row, empty = await store.unread(limit=5, now=NOON)
        assert (row.raw, row.at, row.communication) == (raw, NOON, a_communication().id)
        assert (row.state, row.remote) == (InboxState.NEW, "192.0.2.1")
        assert empty.raw == b""
        assert await store.inbox_row(row.id) == row
        assert await store.inbox_row(InboxId(99)) is None


async def test_what_is_disposed_of_is_not_read_again(subject: Subject) -> None:
    async with subject.opened() as store:
        one, two, three = await store.receive([a_message(b"%d" % n) for n in range(3)])
        applied = Disposition(inbox=two, state=InboxState.APPLIED, command=a_command_id())
        quarantined = Disposition(inbox=three, state=InboxState.QUARANTINED, reason="unknown")
        assert await store.save([Change(inbox=(applied, quarantined))]) == [Saved.SAVED]
        assert [row.id for row in await store.unread(limit=5, now=NOON)] == [one]
        row = await store.inbox_row(two)
        assert row is not None
        assert (row.state, row.command) == (InboxState.APPLIED, a_command_id())
        listed = await store.inbox(state=InboxState.QUARANTINED)
        assert [(item.id, item.reason) for item in listed] == [(three, "unknown")]


async def test_a_disposition_of_nothing_is_an_error_and_changes_nothing(subject: Subject) -> None:
    async with subject.opened() as store:
        nothing = Disposition(inbox=InboxId(5), state=InboxState.APPLIED)
        with pytest.raises(NotFound):
            await store.save([Change(audit=(a_note(),)), Change(inbox=(nothing,))])
        assert await store.audit() == []


async def test_a_disposition_is_not_made_when_its_command_has_moved(subject: Subject) -> None:
    async with subject.opened() as store:
        await store.submit([a_submission()])
        (inbox,) = await store.receive([a_message()])
        done = Disposition(inbox=inbox, state=InboxState.APPLIED)
        stale = Change(command=replace(a_command(), version=7), inbox=(done,))
        assert await store.save([stale]) == [Saved.MOVED]
        assert [row.id for row in await store.unread(limit=5, now=NOON)] == [inbox]


async def test_parked_messages_come_back_at_their_time_or_when_their_token_is_known(
    subject: Subject,
) -> None:
    async with subject.opened() as store:
        ids = await store.receive([a_message(b"%d" % n) for n in range(4)])
        parked = [
            Disposition(inbox=inbox, state=InboxState.PARKED, token=a_token(n % 2), wake=at(10 + n))
            for n, inbox in enumerate(ids[:3])
        ]
        await store.save([Change(inbox=tuple(parked))])

        async def unread(seconds: float, limit: int = 9) -> list[int]:
            return [row.id for row in await store.unread(limit=limit, now=at(seconds))]

        assert await unread(0) == ids[3:]
        assert await unread(11) == [ids[0], ids[1], ids[3]]
        assert await unread(11, limit=2) == [ids[0], ids[1]]
        sent = an_awaiting_communication(token=a_token(0))
        await store.submit([a_submission()])
        (command,) = (await store.load([a_command_id()])).values()
        await store.save([Change(command=replace(command, communications=(sent,)))])
        assert await unread(0) == [ids[0], ids[2], ids[3]]
        row = await store.inbox_row(ids[0])
        assert row is not None
        assert (row.state, row.token) == (InboxState.PARKED, a_token(0))
        late = Disposition(inbox=ids[3], state=InboxState.PARKED, token=a_token(0), wake=at(10_000))
        await store.save([Change(inbox=(late,))])
        assert await unread(0) == [ids[0], ids[2], ids[3]]  # known since it was looked for
        await store.save([Change(inbox=(replace(late, token=a_token(5)),))])
        assert await unread(0) == [ids[0], ids[2]]


async def test_what_gave_way_to_others_comes_back_when_its_token_becomes_known(
    subject: Subject,
) -> None:
    async with subject.opened() as store:
        own = await store.receive(
            [a_message(b"%d" % n, communication=a_communication().id) for n in range(2)]
        )
        bare = await store.receive([a_message(b"b%d" % n) for n in range(5)])
        parked = [
            Disposition(inbox=inbox, state=InboxState.PARKED, token=a_token(n), wake=at(900))
            for n, inbox in enumerate([*own, *bare])
        ]
        await store.save([Change(inbox=tuple(parked))])
        assert await store.bound_parked(2) == 3

        async def states(*ids: int) -> list[InboxState]:
            found = [await store.inbox_row(InboxId(each)) for each in ids]
            return [row.state for row in found if row is not None]

        gone, left = [InboxState.QUARANTINED] * 3, [InboxState.PARKED] * 2
        assert await states(*own, *bare) == [*left, *gone, *left]
        sent = an_awaiting_communication(token=a_token(2))
        await store.submit([a_submission()])
        (command,) = (await store.load([a_command_id()])).values()
        await store.save([Change(command=replace(command, communications=(sent,)))])
        assert await states(*bare[:3]) == [InboxState.PARKED, *gone[1:]]
        assert [row.id for row in await store.unread(limit=9, now=NOON)] == [bare[0]]


async def test_addressed_messages_are_read_first_and_the_others_have_a_share(
    subject: Subject,
) -> None:
    async with subject.opened() as store:
        strays = await store.receive([a_message(b"%d" % n) for n in range(40)])
        parked = Disposition(inbox=strays[0], state=InboxState.PARKED, wake=NOON)
        await store.save([Change(inbox=(parked,))])
        own = await store.receive(
            [a_message(b"%d" % n, communication=a_communication().id) for n in range(9)]
        )

        async def unread(limit: int) -> list[int]:
            return [row.id for row in await store.unread(limit=limit, now=NOON)]

        assert await unread(8) == [*own[:6], *strays[:2]]
        assert await unread(16) == [*own, *strays[:4]]
        done = tuple(Disposition(inbox=each, state=InboxState.APPLIED) for each in strays)
        await store.save([Change(inbox=done)])
        assert await unread(8) == own[:8], "where nobody else waits, they have it all"


async def test_messages_that_wait_for_nothing_are_only_listed(subject: Subject) -> None:
    async with subject.opened() as store:
        ids = await store.receive(
            [a_message(state=InboxState.STORED), a_message(state=InboxState.QUARANTINED)]
        )
        assert await store.unread(limit=5, now=NOON) == []
        assert [row.id for row in await store.inbox()] == [ids[1], ids[0]]
        assert [row.id for row in await store.inbox(before=ids[1])] == [ids[0]]
        assert [row.id for row in await store.inbox(limit=1)] == [ids[1]]
        stored = await store.inbox(state=InboxState.STORED, before=ids[1])
        assert [row.id for row in stored] == [ids[0]]


def a_rejected(n: int, *, stranger: bool = True, counted: bool = False) -> Received:
    rejection = Rejection(cause="wrong", stranger=stranger, counted=counted)
    state = InboxState.QUARANTINED
    return a_message(b"12345", state=state, reason="wrong [x]", at=at(n), rejection=rejection)


async def test_what_is_rejected_again_is_counted_by_one_row_until_that_is_decided(
    subject: Subject,
) -> None:
    async with subject.opened() as store:
        first, again = await store.receive([a_rejected(n, counted=True) for n in range(2)])
        elsewhere = replace(a_rejected(2, counted=True), remote="192.0.2.2")
        (other,) = await store.receive([elsewhere])
        assert first == again != other
        row = await store.inbox_row(first)
        assert row is not None
        assert (row.times, row.at, row.last_at) == (2, at(0), at(1))
        discarded = Disposition(inbox=first, state=InboxState.DISCARDED)
        await store.save([Change(inbox=(discarded,))])
        (later,) = await store.receive([a_rejected(3, counted=True)])
        assert later not in (first, other)
        subjects = [entry.note.subject for entry in await store.audit()]
        assert subjects == [f"inbox:{each}" for each in (first, other, later)]


async def test_callbacks_nobody_knows_have_the_bound_of_the_rejected_and_go_after_them(
    subject: Subject,
) -> None:
    """Never one at an address of its own, one that is judged, or one whose token became known."""
    cost = ROW_BYTES + 5
    async with subject.opened() as store:
        at_own = a_message(b"12345", communication=a_communication().id)
        own = await store.receive([at_own, at_own])
        bare = await store.receive([a_message(b"12345") for _ in range(6)])
        judged = Disposition(inbox=bare[5], state=InboxState.QUARANTINED, token=a_token(9))
        parked = [
            Disposition(inbox=inbox, state=InboxState.PARKED, token=a_token(n), wake=at(900))
            for n, inbox in enumerate([*own, *bare[:5]])
        ]
        await store.save([Change(inbox=(*parked, judged))])
        assert await store.bound_parked(0) == 7
        (stranger,) = await store.receive([a_rejected(1)])
        sent = an_awaiting_communication(token=a_token(2))
        await store.submit([a_submission()])
        (command,) = (await store.load([a_command_id()])).values()
        await store.save([Change(command=replace(command, communications=(sent,)))])

        async def left() -> list[int]:
            return sorted(row.id for row in await store.inbox())

        assert await store.bound_quarantine(5 * cost) == 0
        assert await store.bound_quarantine(4 * cost) == cost
        assert stranger not in await left()
        assert await store.bound_quarantine(2 * cost) == 2 * cost
        assert await left() == sorted([*own, bare[0], *bare[3:]])
        assert await store.bound_quarantine(0) == 2 * cost
        assert await store.bound_quarantine(0) == 0
        assert await left() == sorted([*own, bare[0], bare[5]])
        told = [entry.note for entry in await store.audit() if entry.note.action == "Removed"]
        assert [note.detail["rows"] for note in told] == [1, 2, 2]


async def test_past_the_bound_the_oldest_rejected_go_strangers_first(subject: Subject) -> None:
    cost = ROW_BYTES + 5
    async with subject.opened() as store:
        (taken,) = await store.receive([a_message(state=InboxState.QUARANTINED)])
        known = await store.receive([a_rejected(n, stranger=False) for n in range(3)])
        strangers = await store.receive([a_rejected(n) for n in range(3)])
        assert await store.bound_quarantine(6 * cost) == 0
        assert await store.bound_quarantine(5 * cost + 1) == cost
        assert await store.bound_quarantine(3 * cost - 1) == 3 * cost
        assert [row.id for row in await store.inbox()] == [known[2], known[1], taken]
        assert await store.bound_quarantine(0) == 2 * cost
        assert [row.id for row in await store.inbox()] == [taken]
        assert await store.bound_quarantine(0) == 0
        told = [entry.note for entry in await store.audit() if entry.note.action == "Removed"]
        assert [note.detail["rows"] for note in told] == [1, 3, 2]
        assert told[1].detail["last"] == strangers[2]
        (new,) = await store.receive([a_rejected(9)])
        assert new > strangers[2], "a number is never given twice"


async def test_a_measurement_made_again_changes_nothing(subject: Subject) -> None:
    def measurement(id: str, end: datetime, value: str = "1.0") -> InitialMeasurement:
        return InitialMeasurement(
            id=id,
            device=DeviceId("M-1"),
            component="C-1",
            kind=ComponentKind.SCALAR,
            quantity="Wh d",
            start=NOON,
            end=end,
            seconds=0,
            values=(InitialValue(at=NOON, value=Decimal(value)), InitialValue(at=end, value=None)),
            cause=EventId("c:e"),
        )

    async with subject.opened() as store:
        old, new = measurement("a", at(1)), measurement("b", at(2))
        await store.save([Change(measurements=(new, old, measurement("a", at(1), "7")))])
        assert await store.measurements(DeviceId("M-1")) == [new, old]
        assert await store.measurements(DeviceId("M-1"), limit=1) == [new]
        assert await store.measurements(DeviceId("M-2")) == []


# ---------------------------------------------------------------- events out


async def test_each_sink_gets_every_publication_until_it_confirms(subject: Subject) -> None:
    events = tuple(a_publication(f"e-{n}", data={"n": n, "nested": {"a": [1]}}) for n in range(4))
    async with subject.opened() as store:
        await store.submit([a_submission(1, publications=events[:2])])
        await store.save([Change(publications=(events[1], events[2], events[2], events[3]))])
        rows = await store.outbox("one", limit=9)
        assert [row.publication for row in rows] == list(events)
        assert [row.at for row in rows] == [NOON] * 4
        assert [row.seq for row in rows] == sorted({row.seq for row in rows})
        await store.delivered("one", rows[1].seq)
        await store.delivered("one", rows[0].seq)
        assert await store.outbox("one", limit=1) == rows[2:3]
        assert await store.outbox("two", limit=9) == rows
        assert (await store.ledger()).publications == 4
    async with subject.opened() as store:
        assert await store.outbox("one", limit=9) == rows[2:]


# ---------------------------------------------------------------- audit


async def test_audit_entries_are_chained_numbered_and_timed(subject: Subject) -> None:
    async with subject.opened() as store:
        assert await store.audit_head() == (0, "0" * 64)
        await store.save([Change(audit=(a_note("a"), a_note("b")))])
        subject.clock.turn(5)
        await store.save([Change(audit=(a_note("a", "sent", tries=2),))])
        entries = await store.audit()
        assert [(x.seq, x.at, x.note.subject) for x in entries] == [
            (1, NOON, "a"),
            (2, NOON, "b"),
            (3, at(5), "a"),
        ]
        assert [x.previous for x in entries] == ["0" * 64, entries[0].digest, entries[1].digest]
        assert await store.audit_head() == (3, entries[2].digest)
        assert await store.verify_audit() == 3
        assert await store.audit(subject="a", after=1) == [entries[2]]
        assert await store.audit(limit=2) == entries[:2]


async def test_the_history_of_a_command_includes_its_communications(subject: Subject) -> None:
    async with subject.opened() as store:
        command = a_command(communications=tuple(a_communication(ordinal=n) for n in (1, 2)))
        subjects = [
            command.id,
            command.communications[1].id,
            "other",
            f"{command.id}-x",
            command.id,
        ]
        await store.submit(
            [a_submission(command=command, audit=tuple(a_note(x) for x in subjects))]
        )
        assert [entry.seq for entry in await store.audit(subject=command.id)] == [1, 2, 5]


async def test_details_of_a_note_are_kept_as_json_has_them(subject: Subject) -> None:
    detail = MappingProxyType({"at": NOON, "b": frozenset("xy"), "a": (1, None), "state": State})
    async with subject.opened() as store:
        note = replace(a_note(), detail={**detail, "state": State.PENDING})
        await store.save([Change(audit=(note,))])
        (entry,) = await store.audit()
        assert entry.note.detail == {
            "a": [1, None],
            "at": "2026-03-02T12:00:00Z",
            "b": ["x", "y"],
            "state": "pending",
        }


# ---------------------------------------------------------------- messages, ledger


async def test_soap_messages_are_listed_by_command(subject: Subject) -> None:
    def call(ordinal: int, second: float, command: int = 1) -> LoggedCall:
        return LoggedCall(
            communication=a_communication(a_command_id(command), ordinal).id,
            sent_at=at(second),
            replied_at=at(second + 0.5),
            operation="PingByEndpoints",
            request=b"<a>%d</a>" % ordinal,
            status=200,
            reply=b"<b/>",
        )

    async with subject.opened() as store:
        command = a_command(communications=tuple(a_communication(ordinal=n) for n in (1, 2)))
        await store.submit([a_submission(command=command), a_submission(2)])
        for each in (call(2, 3), call(1, 1), call(1, 2, command=2)):
            store.log_call(each)
        logged = await store.messages(command.id)
        told = [(x.communication, x.at, x.outbound, x.status, x.body) for x in logged]
        ids = [x.id for x in command.communications]
        assert told == [
            (ids[0], at(1), True, 0, b"<a>1</a>"),
            (ids[0], at(1.5), False, 200, b"<b/>"),
            (ids[1], at(3), True, 0, b"<a>2</a>"),
            (ids[1], at(3.5), False, 200, b"<b/>"),
        ]


async def test_callbacks_are_among_the_messages_and_their_secrets_are_not(
    subject: Subject,
) -> None:
    """By the address that they came at; those that came at the bare one, by their token."""
    told = a_communication(token="t-1")
    bodies = [b"<a>/openway/status/1/0f</a>", b"<b/>" * 200]
    async with subject.opened() as store:
        command = a_command(communications=(told,))
        await store.submit([a_submission(command=command), a_submission(2)])
        received = [
            Received(operation=STATUS_CHANGED, raw=bodies[0], at=at(1), communication=told.id),
            Received(operation=STATUS_CHANGED, raw=bodies[1], at=at(2)),
            Received(operation=STATUS_CHANGED, raw=b"<c/>", at=at(3)),
        ]
        ids = await store.receive(received)
        matched = Disposition(
            inbox=ids[1], state=InboxState.APPLIED, command=command.id, token=told.token
        )
        judged = JudgedMessage(
            received=replace(received[0], raw=bodies[1], at=at(4)),
            state=InboxState.APPLIED,
            reason="matched",
            command=command.id,
            token=RequestToken("t-1"),
        )
        change = Change(command=command, inbox=(matched,), received=(judged,))
        assert await store.save([change]) == [Saved.SAVED]
        found = await store.messages(command.id)
        assert [(each.communication, each.at) for each in found] == [
            (told.id, at(1)),
            (told.id, at(2)),
            (told.id, at(4)),
        ]
        assert [each.body for each in found] == [
            b"<a>/openway/status/1/***</a>",
            bodies[1],
            bodies[1],
        ]
        newest = (await store.inbox())[0]
        assert (newest.raw, newest.command, newest.token) == (bodies[1], command.id, told.token)


async def test_the_ledger_adds_up(subject: Subject) -> None:
    async with subject.opened() as store:
        done = CompletionEvent(
            id=EventId("c:e"), kind=Completion.CREATE_IMD, at=NOON, state=CompletionState.EXECUTED
        )
        await store.submit(
            [
                a_submission(1),
                a_submission(2, command=a_command(2, state=State.COMPLETED, completions=(done,))),
            ]
        )
        command = (await store.load([a_command_id()]))[a_command_id()]
        sent = an_awaiting_communication(command.id, token=a_token())
        await store.save([Change(command=replace(command, communications=(sent,)))])
        await store.receive([a_message(), a_message(state=InboxState.QUARANTINED)])
        ledger = await store.ledger()
        assert ledger.accepted == 2
        assert ledger.commands_by_state == {"communication_in_progress": 1, "completed": 1}
        assert ledger.received == 2
        assert ledger.inbox_by_state == {"new": 1, "quarantined": 1}
        assert ledger.communications_by_state == {CommunicationState.AWAITING: 1}
        assert ledger.completion_events == {"D1-CreateIMD:executed": 1}


# ---------------------------------------------------------------- registry


async def test_devices_are_seen_with_where_they_stand(subject: Subject) -> None:
    devices = (a_device("M-1", groups=frozenset({"north", "all"})), a_device("M-2", serial="7"))
    removed = an_install("M-1", "SP-2", installed_at=at(-9e5), removed_at=at(-8e5))
    async with subject.opened() as store:
        points = (a_service_point("SP-1"), a_service_point("SP-2"))
        await store.import_(
            Import(devices=devices, service_points=points, installs=(removed, an_install()))
        )
        views = await store.views([DeviceId("M-2"), DeviceId("M-9"), DeviceId("M-1")])
        assert views == {
            DeviceId("M-2"): DeviceView(device=devices[1]),
            DeviceId("M-1"): DeviceView(
                device=devices[0], service_point=points[0], installed=an_install()
            ),
        }
        assert list(views) == ["M-2", "M-1"]
        assert [view.device.id for view in await store.devices()] == ["M-1", "M-2"]
        assert [view.device.id for view in await store.devices(after=DeviceId("M-1"))] == ["M-2"]
        assert [view.device.id for view in await store.devices(limit=1)] == ["M-1"]


async def test_importing_again_replaces_and_groups_follow(subject: Subject) -> None:
    async with subject.opened() as store:
        one = a_device("M-1", groups=frozenset({"north", "all"}))
        await store.import_(Import(devices=(a_device("M-2", groups=frozenset({"all"})), one)))
        assert await store.members("all") == ["M-1", "M-2"]
        what = Import(devices=(replace(one, groups=frozenset({"south"})),))
        assert await store.import_(what, seen=await store.known(what)) is Saved.SAVED
        assert await store.members("all") == ["M-2"]
        assert await store.members("north") == []
        assert await store.members("south") == ["M-1"]


async def test_an_install_event_moves_only_from_the_version_that_was_seen(subject: Subject) -> None:
    async with subject.opened() as store:
        await store.import_(Import(devices=(a_device(),), installs=(an_install(),)))

        async def seen() -> DeviceView:
            return (await store.views([DeviceId("M-1")]))[DeviceId("M-1")]

        installed = (await seen()).installed
        assert installed is not None
        entry = OnOff(at=NOON, on=False, cause=EventId("c:e"))
        off = replace(installed, status=InstallStatus.DISCONN_COMM, history=(entry,))
        change = Change(installs=(off,), audit=(a_note(),))
        assert await store.save([change]) == [Saved.SAVED]
        assert (await seen()).installed == replace(off, version=1)
        assert await store.save([change]) == [Saved.MOVED]
        assert len(await store.audit()) == 1


async def test_an_import_writes_only_what_it_has_looked_at(subject: Subject) -> None:
    """A completion event between the look and the write is not undone (I19)."""
    async with subject.opened() as store:
        what = Import(
            devices=(a_device(),), service_points=(a_service_point(),), installs=(an_install(),)
        )
        assert await store.import_(what, audit=(a_note(),)) is Saved.SAVED
        assert len(await store.audit()) == 1
        seen = await store.known(what)
        assert list(seen.devices.values()) == list(what.devices)
        assert list(seen.service_points.values()) == list(what.service_points)
        assert seen.installs == what.installs
        off = replace(an_install(), status=InstallStatus.DISCONN_COMM)
        assert await store.save([Change(installs=(off,))]) == [Saved.SAVED]
        again = replace(what, devices=(a_device(serial="new"),))
        assert await store.import_(again, seen=seen, audit=(a_note(),)) is Saved.MOVED
        assert await store.import_(again, audit=(a_note(),)) is Saved.MOVED
        view = (await store.views([DeviceId("M-1")]))[DeviceId("M-1")]
        assert (view.device.serial, view.installed) == ("", replace(off, version=1))
        assert len(await store.audit()) == 1
        seen = await store.known(what)
        assert await store.import_(again, seen=seen, audit=(a_note(),)) is Saved.SAVED
        view = (await store.views([DeviceId("M-1")]))[DeviceId("M-1")]
        assert (view.device.serial, view.installed) == ("new", replace(an_install(), version=2))
        assert len(await store.audit()) == 2


async def test_an_import_looks_at_who_is_at_its_service_points_too(subject: Subject) -> None:
    async with subject.opened() as store:
        gone = an_install("M-2", "SP-1", installed_at=at(-9e5), removed_at=at(-8e5))
        there = an_install("M-3", "SP-1")
        await store.import_(
            Import(devices=(a_device("M-2"), a_device("M-3")), installs=(gone, there))
        )
        asked = Import(devices=(a_device("M-9"),), service_points=(a_service_point("SP-1"),))
        assert (await store.known(asked)).installs == (there,)


async def test_a_device_is_installed_once_at_a_time(subject: Subject) -> None:
    fresh = an_install("M-1", "SP-2", installed_at=NOON)
    async with subject.opened() as store:
        await store.import_(Import(devices=(a_device(),), installs=(an_install(),)))
        assert await store.save([Change(installs=(fresh,))]) == [Saved.MOVED]
        gone = an_install(removed_at=NOON)
        assert await store.save([Change(installs=(gone,))]) == [Saved.SAVED]
        assert await store.save([Change(installs=(replace(fresh, version=3),))]) == [Saved.MOVED]
        assert await store.save([Change(installs=(fresh,))]) == [Saved.SAVED]
        view = (await store.views([DeviceId("M-1")]))[DeviceId("M-1")]
        assert view.installed == replace(fresh, version=1)


async def test_times_are_kept_to_the_microsecond_in_utc(subject: Subject) -> None:
    tick = datetime(2026, 3, 2, 12, 0, 0, 1, tzinfo=UTC)
    async with subject.opened() as store:
        await store.submit([a_submission(command=a_command(communications=()), wake=tick)])
        assert await store.due(limit=1, now=NOON, lease_until=NOON) == []
        assert await store.next_wake() == tick
        assert await store.due(limit=1, now=tick, lease_until=at(1)) == [a_command_id()]
