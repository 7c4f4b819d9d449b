"""Both stores through the same random life: every answer must be the same."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from adapter.commands.activity import Command, Communication, CommunicationState, State, Work
from adapter.commands.flows import CommandKind, Operation
from adapter.commands.outcomes import EndpointOutcome, EndpointResult
from adapter.engine.commands.ports import (
    Change,
    Debit,
    Disposition,
    Filter,
    Import,
    InboxState,
    JudgedMessage,
    Saved,
    Store,
)
from adapter.model.device import InstallStatus
from adapter.model.ids import DeviceId, EndpointId, RequestToken
from adapter.model.values import replace
from adapter.store.commands.commands import SqliteStore
from tests.builders import (
    HandClock,
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
from tests.store.commands.model import ModelStore

T = TypeVar("T")

numbers = st.integers(1, 3)
tokens = st.sampled_from([None, a_token(1), a_token(2)])
lanes = st.lists(st.sampled_from(["meter:M-1", "meter:M-2"]), max_size=2, unique=True).map(tuple)
seconds = st.sampled_from([0, 5, 10, 20])
times = st.one_of(st.none(), seconds.map(at), seconds.map(at))
limits = st.integers(1, 4)
operations = st.sampled_from([Operation.PING, Operation.DISCONNECT_METER])
states = st.sampled_from(State)


@st.composite
def communication_changes(draw: st.DrawFn) -> dict[str, Any]:
    """Often none, or one that leaves the lease alone."""
    match draw(st.sampled_from(["nothing", "tries", "wake", "token", "all"])):
        case "nothing":
            return {}
        case "tries":
            return {"tries": draw(st.integers(0, 3))}
        case "wake":
            return {"wake": draw(times)}
        case "token":
            return {"token": draw(tokens)}
        case _:
            return {
                "work": draw(st.sampled_from([Work.SEND, Work.STATUS, Work.NONE])),
                "state": draw(st.sampled_from(CommunicationState)),
                "wake": draw(times),
                "token": draw(tokens),
                "sent_at": draw(st.sampled_from([None, at(0)])),
            }


class SideBySide(RuleBasedStateMachine):
    """Two stores that are asked the same."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.folder = Path(tempfile.mkdtemp())
        self.loop = asyncio.Runner()
        self.model: Store = ModelStore(now=self.clock)
        self.disk = self.a_store()
        self.do(self.disk.open())

    def a_store(self) -> Store:
        """One that is empty."""
        return SqliteStore(self.folder / "gateway.db", now=self.clock)

    def teardown(self) -> None:
        self.do(self.disk.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(coroutine)

    def both(self, name: str, *args: object, **kwargs: object) -> Any:
        expected = self.do(getattr(self.model, name)(*args, **kwargs))
        answer = self.do(getattr(self.disk, name)(*args, **kwargs))
        assert answer == expected, name
        return expected

    @rule(seconds=st.integers(1, 40))
    def turn_the_clock(self, seconds: int) -> None:
        self.clock.turn(seconds)

    @rule()
    def restart(self) -> None:
        self.do(self.disk.close())
        self.do(self.disk.open())

    @invariant()
    def agree(self) -> None:
        self.both("next_wake")
        self.both("ledger")
        self.both("audit_head")


class Commands(SideBySide):
    """Submitting, saving, claiming."""

    @initialize(priorities=st.lists(st.integers(0, 2), min_size=2, max_size=2))
    def begin(self, priorities: Sequence[int]) -> None:
        for number, priority in enumerate(priorities, 1):
            id = a_command_id(number)
            communications = tuple(a_communication(id, ordinal) for ordinal in (1, 2))
            command = a_command(number, communications=communications)
            self.both("submit", [a_submission(number, command=command, priority=priority)])

    @rule(
        number=numbers,
        key=st.sampled_from([None, "k1", "k2"]),
        content=st.sampled_from(["a", "b"]),
        lanes=lanes,
        steal=st.booleans(),
        priority=st.integers(0, 2),
        wake=times,
        state=states,
        kind=st.sampled_from(CommandKind),
        operation=operations,
        devices=st.sampled_from([("M-1",), ("M-2",), ("M-1", "M-2")]),
    )
    def submit(
        self,
        number: int,
        state: State,
        kind: CommandKind,
        operation: Operation,
        devices: tuple[str, ...],
        priority: int,
        **changes: Any,
    ) -> None:
        made = a_communication(a_command_id(number), operation=operation)
        command = a_command(number, state=state, kind=kind, devices=devices, communications=(made,))
        extras = {"audit": (a_note(command.id),), "publications": (a_publication(command.id),)}
        self.both(
            "submit",
            [a_submission(number, command=command, priority=priority, **changes, **extras)],
        )

    def loaded(self, number: int) -> Command | None:
        id = a_command_id(number)
        found: Command | None = self.both("load", [id]).get(id)
        return found

    @rule(
        number=numbers,
        stale=st.booleans(),
        changes=st.lists(communication_changes(), min_size=1, max_size=3),
        state=states,
        wake=times,
        acquire=lanes,
        release=st.booleans(),
        debit=st.sampled_from([None, Debit(bucket="b", limit=2, window_s=30.0)]),
        leased=st.frozensets(st.sampled_from([f"{a_command_id(1)}-{n}" for n in (1, 2, 3)])),
        lease_until=seconds.map(at),
        result=st.sampled_from([None, *EndpointResult]),
    )
    def save(
        self,
        number: int,
        stale: bool,
        changes: list[dict[str, Any]],
        state: State,
        result: EndpointResult | None,
        **rest: Any,
    ) -> None:
        command = self.loaded(number)
        if command is None:
            return
        communications: list[Communication] = []
        for position, change in enumerate(changes):
            known = command.communications[position : position + 1]
            made = known[0] if known else a_communication(command.id, position + 1)
            communications.append(replace(made, **change))
        communications.extend(command.communications[len(communications) :])
        moved = replace(
            command,
            activity=replace(command.activity, state=state),
            communications=tuple(communications),
            version=command.version + stale,
        )
        outcomes = (
            () if result is None else (EndpointOutcome(endpoint=EndpointId("E-1"), result=result),)
        )
        (answer,) = self.both(
            "save",
            [
                Change(
                    command=moved,
                    audit=(a_note(command.id, state), a_note(communications[-1].id)),
                    publications=(a_publication(f"{command.id}:{state}"),),
                    outcomes=outcomes,
                    **rest,
                )
            ],
        )
        assert answer is Saved.MOVED or not stale

    @rule(limit=limits, now=seconds, lease=seconds, skip=st.frozensets(operations, max_size=1))
    def take_what_is_due(
        self, limit: int, now: int, lease: int, skip: frozenset[Operation]
    ) -> None:
        until = at(now + lease)
        for work in (Work.SEND, Work.STATUS):
            self.both("claim", work, limit=limit, now=at(now), lease_until=until, skip=skip)
        self.both("due", limit=limit, now=at(now), lease_until=until)

    @rule(now=seconds, lease=seconds)
    def start_again(self, now: int, lease: int) -> None:
        self.both("free_claimed", now=at(now), until=at(now + lease))

    @rule(
        kind=st.one_of(st.none(), st.sampled_from(CommandKind)),
        state=st.one_of(st.none(), states),
        device=st.sampled_from([None, DeviceId("M-1"), DeviceId("M-2")]),
        open_only=st.booleans(),
        limit=limits,
        before=st.sampled_from([None, a_command_id(3)]),
    )
    def list(self, **wanted: Any) -> None:
        self.both("list", Filter(**wanted))

    @rule()
    def compare_commands(self) -> None:
        ids = [a_command_id(number) for number in range(1, 5)]
        self.both("load", ids)
        self.both("find", communications=[f"{id}-1" for id in ids], tokens=[a_token(1), a_token(2)])
        self.both("holders", ["meter:M-1", "meter:M-2"])
        self.both("sending")
        self.both("audit")
        self.both("audit", subject=ids[0])
        self.both("verify_audit")
        self.both("outcomes", ids[0])


class Records(SideBySide):
    """Inbox, registry, events out."""

    def __init__(self) -> None:
        super().__init__()
        self.inbox = 0

    @rule(
        state=st.sampled_from([InboxState.NEW, InboxState.STORED]),
        count=st.integers(0, 2),
    )
    def receive(self, state: InboxState, count: int) -> None:
        self.both("receive", [a_message(b"%d" % self.inbox, state=state)] * count)
        self.inbox += count

    @precondition(lambda self: self.inbox > 0)
    @rule(
        data=st.data(),
        state=st.sampled_from(InboxState),
        token=tokens,
        wake=times,
    )
    def dispose(self, data: st.DataObject, **changes: Any) -> None:
        inbox = data.draw(st.integers(1, self.inbox))
        self.both("save", [Change(inbox=(Disposition(inbox=inbox, **changes),))])  # type: ignore[arg-type]

    @rule(token=st.sampled_from([a_token(1), a_token(2)]), wake=seconds.map(at))
    def park(self, token: RequestToken, wake: datetime) -> None:
        message = a_message(b"%d" % self.inbox)
        self.inbox += bool(self.both("park", message, token, "token not known yet", wake))

    @rule(token=st.sampled_from([a_token(1), a_token(2)]), at_address=st.booleans())
    def judged(self, token: RequestToken, at_address: bool) -> None:
        communication = a_communication().id if at_address else None
        message = JudgedMessage(
            received=a_message(b"judged", communication=communication),
            state=InboxState.APPLIED,
            reason="matched",
            command=a_command_id(1),
            token=token,
        )
        self.both("save", [Change(received=(message,))])
        self.inbox += 1

    @rule(number=st.integers(1, 3))
    def learn(self, number: int) -> None:
        sent = an_awaiting_communication(a_command_id(number), token=a_token(number))
        command = a_command(number, communications=(sent,))
        self.both("submit", [a_submission(number, command=command)])

    @rule(most=st.integers(0, 3))
    def bound_parked(self, most: int) -> None:
        self.both("bound_parked", most)

    @rule(now=seconds, limit=limits)
    def unread(self, now: int, limit: int) -> None:
        self.both("unread", limit=limit, now=at(now))

    @rule(install=st.booleans(), groups=st.frozensets(st.sampled_from("ab")))
    def import_(self, install: bool, groups: frozenset[str]) -> None:
        what = Import(
            devices=(a_device("M-1", groups=groups),),
            service_points=(a_service_point(),),
            installs=(an_install(),) if install else (),
        )
        self.both("import_", what)
        self.both("import_", what, seen=self.both("known", what))

    @rule(
        version=st.integers(0, 2),
        status=st.sampled_from(InstallStatus),
        point=st.sampled_from(["SP-1", "SP-2"]),
        removed=st.booleans(),
    )
    def install(self, version: int, status: InstallStatus, point: str, removed: bool) -> None:
        event = an_install(
            service_point=point,
            status=status,
            version=version,
            removed_at=at(0) if removed else None,
        )
        self.both("save", [Change(installs=(event,))])

    @rule(sink=st.sampled_from(["one", "two"]), limit=limits, confirmed=st.integers(0, 3))
    def relay(self, sink: str, limit: int, confirmed: int) -> None:
        self.both("delivered", sink, confirmed)
        self.both("outbox", sink, limit=limit)

    @rule(id=st.sampled_from(["e-1", "e-2", "e-3"]))
    def publish(self, id: str) -> None:
        self.both("save", [Change(publications=(a_publication(id),))])

    @rule()
    def compare_records(self) -> None:
        self.both("inbox")
        self.both("views", [DeviceId("M-1")])
        self.both("members", "a")


Commands.TestCase.settings = Records.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


# A failure takes its time to be made small.
TestCommands = pytest.mark.timeout(600)(Commands.TestCase)
TestRecords = pytest.mark.timeout(600)(Records.TestCase)
