"""What changes the database: functions over one open transaction. `at` is the store's clock."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

import apsw

from adapter.commands.activity import TO_DO, Command, Communication
from adapter.commands.outcomes import EndpointOutcome
from adapter.commands.rules import priority_of
from adapter.engine.commands.ports import (
    Accepted,
    AuditNote,
    Change,
    Debit,
    Duplicate,
    KeyConflict,
    LaneTaken,
    Publication,
    Saved,
    Submission,
    Submitted,
)
from adapter.model.ids import CommandId, RequestToken
from adapter.store import rows
from adapter.store.chain import follow
from adapter.store.commands import queries, reading
from adapter.store.commands.inbox import dispose, put_judged, put_measurements, unpark
from adapter.store.orders import queries as orders
from adapter.store.registry.registry import install_unmoved, put_install
from adapter.store.rows import (
    due_of,
    encode,
    encode_body,
    encode_endpoints,
    micros,
    micros_or_none,
)
from adapter.store.threads import Transaction

# ---------------------------------------------------------------- submit


def submit(tx: Transaction, batch: Sequence[Submission], at: datetime) -> list[Submitted]:
    return [_submit(tx, item, at) for item in batch]


def _submit(tx: Transaction, item: Submission, at: datetime) -> Submitted:
    known = _known(tx.connection, item)
    if known is not None:
        return known
    if not item.steal:
        holders = _other_holders(tx.connection, item.lanes, item.command.id)
        if holders:
            return LaneTaken(holders=holders)
    command = item.command
    wake = micros_or_none(item.wake)
    tx.connection.execute(
        queries.INSERT_COMMAND,
        (
            command.id,
            item.key,
            item.content,
            command.request.kind,
            command.activity.state,
            priority_of(command.request).rank,
            wake,
            command.version,
            encode(command.activity),
        ),
    )
    tx.connection.execute(
        queries.INSERT_ASKED,
        (tx.connection.last_insert_rowid(), encode(command.request), encode(command.targets)),
    )
    tx.connection.executemany(
        queries.INSERT_TARGET, [(target.device, command.id) for target in command.targets]
    )
    for position, communication in enumerate(command.communications):
        due = _due(item, communication)
        _insert_communication(tx.connection, command, position, communication, due)
    unpark(tx.connection, [x.token for x in command.communications if x.token is not None])
    _put_completions(tx.connection, command)
    _take_lanes(tx.connection, item.lanes, command.id, at)
    _put_outcomes(tx.connection, command.id, item.outcomes)
    publish(tx.connection, item.publications, at)
    note_all(tx, item.audit, at)
    return Accepted(id=command.id)


def _known(connection: apsw.Connection, item: Submission) -> Submitted | None:
    """The same batch again answers as the first time; the same key from elsewhere, Duplicate."""
    content = connection.execute(queries.CONTENT_OF_COMMAND, (item.command.id,)).get
    if content is not None:
        same = content == item.content
        return (
            Accepted(id=item.command.id, repeated=True) if same else KeyConflict(id=item.command.id)
        )
    if item.key is None:
        return None
    row = connection.execute(queries.COMMAND_OF_KEY, (item.key,)).get
    if row is None:
        return None
    owner, content = row
    return Duplicate(id=owner) if content == item.content else KeyConflict(id=owner)


# ---------------------------------------------------------------- save


_NOTHING: Final[Mapping[CommandId, Command]] = MappingProxyType({})


def save(
    tx: Transaction,
    batch: Sequence[Change],
    at: datetime,
    stored: Mapping[CommandId, Command] = _NOTHING,
) -> list[Saved]:
    """`stored` has commands as they were stored with the version that is saved, where that is at
    hand; the others are read."""
    return [_save(tx, change, stored, at) for change in batch]


def _save(
    tx: Transaction, change: Change, stored: Mapping[CommandId, Command], at: datetime
) -> Saved:
    """Every guard first, then every write; the version in the row is the last guard."""
    connection, command = tx.connection, change.command
    before: Command | None = None
    if command is not None:
        before = stored.get(command.id) or _stored(connection, command.id)
        if before is None or before.version != command.version:
            return Saved.MOVED
    if not all(install_unmoved(connection, install) for install in change.installs):
        return Saved.MOVED
    if command is not None and before is not None:
        if _other_holders(connection, change.acquire, command.id):
            return Saved.LANE_TAKEN
        if _token_taken(connection, command, before):
            return Saved.TOKEN_TAKEN
    if change.debit is not None and not _affordable(connection, change.debit, at):
        return Saved.OVER_BUDGET
    if command is not None and before is not None:
        if not _save_command(connection, command, before, change, at):
            return Saved.MOVED
        _tell_order(connection, command, before, at)
    if change.debit is not None:
        owner = None if command is None else command.id
        connection.execute(queries.INSERT_DEBIT, (change.debit.bucket, micros(at), owner))
    for install in change.installs:
        put_install(connection, install, install.version + 1)
    put_measurements(connection, change.measurements)
    dispose(connection, change.inbox)
    put_judged(connection, change.received)
    publish(connection, change.publications, at)
    note_all(tx, change.audit, at)
    return Saved.SAVED


def _stored(connection: apsw.Connection, command: CommandId) -> Command | None:
    return reading.load(connection, [command]).get(command)


def _save_command(
    connection: apsw.Connection, command: Command, before: Command, change: Change, at: datetime
) -> bool:
    """False, and nothing was written: the row has another version."""
    activity = command.activity
    connection.execute(
        queries.UPDATE_COMMAND,
        (
            activity.state,
            micros_or_none(change.wake),
            command.version + 1,
            encode(activity),
            command.id,
            command.version,
        ),
    )
    if connection.changes() != 1:
        return False
    _put_communications(connection, command, before, change)
    if before.activity.completions != activity.completions:
        _put_completions(connection, command)
    if change.release:
        connection.execute(queries.RELEASE_LANES, (command.id,))
        connection.execute(orders.WAKE_AWAITING, (micros(at), command.id))
    _take_lanes(connection, change.acquire, command.id, at)
    _put_outcomes(connection, command.id, change.outcomes)
    return True


def _put_communications(
    connection: apsw.Connection, command: Command, before: Command, change: Change
) -> None:
    """Insert the new ones, update those that changed; what waits for a token that is new is due."""
    known = {item.id: item for item in before.communications}
    learned: list[RequestToken] = []
    for position, communication in enumerate(command.communications):
        was = known.get(communication.id)
        due = _due(change, communication)
        if was is None:
            _insert_communication(connection, command, position, communication, due)
        elif was != communication:
            _update_communication(connection, communication, due)
        if communication.token is not None and (was is None or was.token != communication.token):
            learned.append(communication.token)
    unpark(connection, learned)


def _due(change: Change | Submission, communication: Communication) -> int | None:
    """When its work may be claimed: with a lease, once that is over."""
    leased = communication.id in change.leased
    return micros_or_none(change.lease_until if leased else due_of(communication))


def _insert_communication(
    connection: apsw.Connection,
    command: Command,
    position: int,
    communication: Communication,
    due: int | None,
) -> None:
    connection.execute(
        queries.INSERT_COMMUNICATION,
        (
            communication.id,
            command.id,
            position,
            communication.operation,
            priority_of(command.request).rank,
            communication.work,
            communication.state,
            micros_or_none(communication.wake),
            due,
            communication.token,
            communication.sent_at is not None,
            encode_body(communication),
        ),
    )
    endpoints = encode_endpoints(communication)
    if endpoints is not None:
        number = connection.last_insert_rowid()
        connection.execute(queries.INSERT_ENDPOINTS, (number, endpoints))


def _update_communication(
    connection: apsw.Connection, communication: Communication, due: int | None
) -> None:
    connection.execute(
        queries.UPDATE_COMMUNICATION,
        {
            "id": communication.id,
            "work": communication.work,
            "state": communication.state,
            "wake": micros_or_none(communication.wake),
            "due": due,
            "token": communication.token,
            "sent": communication.sent_at is not None,
            "body": encode_body(communication),
        },
    )


def _token_taken(connection: apsw.Connection, command: Command, before: Command) -> bool:
    """Whether a token that is new is another communication's: given twice, or a stranger's."""
    known = {item.id: item.token for item in before.communications}
    seen: set[RequestToken] = set()
    for communication in command.communications:
        token = communication.token
        if token is None:
            continue
        if token in seen:
            return True
        seen.add(token)
        if known.get(communication.id) != token:
            owner = connection.execute(queries.COMMUNICATION_OF_TOKEN, (token,)).get
            if owner not in (None, communication.id):
                return True
    return False


def _put_completions(connection: apsw.Connection, command: Command) -> None:
    for event in command.activity.completions:
        connection.execute(
            queries.UPSERT_COMPLETION, (event.id, command.id, event.kind, event.state)
        )


def _put_outcomes(
    connection: apsw.Connection, command: CommandId, outcomes: Sequence[EndpointOutcome]
) -> None:
    connection.executemany(
        queries.UPSERT_OUTCOME, [(command, item.endpoint, encode(item)) for item in outcomes]
    )


def _other_holders(
    connection: apsw.Connection, lanes: Iterable[str], command: CommandId
) -> dict[str, CommandId]:
    found: dict[str, CommandId] = {}
    for lane in lanes:
        holder = connection.execute(queries.LANE_HOLDER, (lane,)).get
        if holder is not None and holder != command:
            found[lane] = holder
    return found


def _take_lanes(
    connection: apsw.Connection, lanes: Sequence[str], command: CommandId, at: datetime
) -> None:
    """Also from another command, where people let this one pass: who waited for that looks."""
    passed = set(_other_holders(connection, lanes, command).values())
    for lane in lanes:
        connection.execute(queries.TAKE_LANE, (lane, command))
    connection.executemany(orders.WAKE_AWAITING, [(micros(at), each) for each in sorted(passed)])


def _tell_order(
    connection: apsw.Connection, command: Command, before: Command, at: datetime
) -> None:
    """Somebody has put a command right that its order is in trouble about: nothing is published of
    that, and the order goes on with it."""
    order, state, was = command.request.order, command.activity.state, before.activity.state
    if order is not None and was in TO_DO and state is not was:
        connection.execute(orders.WAKE, {"id": order, "at": micros(at)})


def _affordable(connection: apsw.Connection, debit: Debit, at: datetime) -> bool:
    since = micros(at) - round(debit.window_s * 1_000_000)
    used = connection.execute(queries.DEBITED, (debit.bucket, since, debit.limit)).get
    return bool(used < debit.limit)


def publish(connection: apsw.Connection, publications: Iterable[Publication], at: datetime) -> None:
    for item in publications:
        connection.execute(
            queries.INSERT_PUBLICATION, {"id": item.id, "at": micros(at), "body": encode(item)}
        )


def note_all(tx: Transaction, notes: Iterable[AuditNote], at: datetime) -> None:
    for note in notes:
        body = rows.encode_note(note)
        tx.head = follow(tx.head, micros(at), body)
        tx.connection.execute(
            queries.INSERT_AUDIT, (tx.head.seq, micros(at), note.subject, body, tx.head.digest)
        )


def delivered(tx: Transaction, sink: str, seq: int) -> None:
    tx.connection.execute(queries.DELIVERED, (sink, seq))
