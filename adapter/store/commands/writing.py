"""What changes the database: functions over one open transaction. `at` is the store's clock."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import apsw

from adapter.commands.activity import TO_DO, Command, Communication
from adapter.commands.outcomes import EndpointOutcome
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
from adapter.store.commands import queries
from adapter.store.commands.inbox import dispose, put_measurements, unpark
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
            item.priority,
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
    _put_communications(tx.connection, command, item.priority)
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
        return Accepted(id=item.command.id) if same else KeyConflict(id=item.command.id)
    if item.key is None:
        return None
    row = connection.execute(queries.COMMAND_OF_KEY, (item.key,)).get
    if row is None:
        return None
    owner, content = row
    return Duplicate(id=owner) if content == item.content else KeyConflict(id=owner)


# ---------------------------------------------------------------- save


def save(tx: Transaction, batch: Sequence[Change], at: datetime) -> list[Saved]:
    return [_save(tx, change, at) for change in batch]


def _save(tx: Transaction, change: Change, at: datetime) -> Saved:
    """Every guard first, then every write."""
    connection, command = tx.connection, change.command
    priority, before = 0, ""
    if command is not None:
        row = connection.execute(queries.COMMAND_GUARD, (command.id,)).get
        if row is None or row[0] != command.version:
            return Saved.MOVED
        priority, before = row[1], row[2]
    if not all(install_unmoved(connection, install) for install in change.installs):
        return Saved.MOVED
    if command is not None:
        if _other_holders(connection, change.acquire, command.id):
            return Saved.LANE_TAKEN
        if _token_taken(connection, command.communications):
            return Saved.TOKEN_TAKEN
    if change.debit is not None and not _affordable(connection, change.debit, at):
        return Saved.OVER_BUDGET
    if command is not None:
        _save_command(connection, command, change, priority, at)
        _tell_order(connection, command, before, at)
    if change.debit is not None:
        owner = None if command is None else command.id
        connection.execute(queries.INSERT_DEBIT, (change.debit.bucket, micros(at), owner))
    for install in change.installs:
        put_install(connection, install, install.version + 1)
    put_measurements(connection, change.measurements)
    dispose(connection, change.inbox)
    publish(connection, change.publications, at)
    note_all(tx, change.audit, at)
    return Saved.SAVED


def _save_command(
    connection: apsw.Connection, command: Command, change: Change, priority: int, at: datetime
) -> None:
    activity = command.activity
    connection.execute(
        queries.UPDATE_COMMAND,
        (
            activity.state,
            micros_or_none(change.wake),
            command.version + 1,
            encode(activity),
            command.id,
        ),
    )
    _put_communications(connection, command, priority)
    _put_completions(connection, command)
    if change.release:
        connection.execute(queries.RELEASE_LANES, (command.id,))
        connection.execute(orders.WAKE_AWAITING, (micros(at), command.id))
    _take_lanes(connection, change.acquire, command.id, at)
    _put_outcomes(connection, command.id, change.outcomes)


def _put_communications(connection: apsw.Connection, command: Command, priority: int) -> None:
    """Insert the new ones, update those that changed; what waits for a token that is new is due."""
    if not command.communications:
        return
    rows_ = connection.execute(queries.BODIES_OF_COMMAND, (command.id,))
    stored = {number: (body, token) for number, body, token in rows_}
    learned: list[RequestToken] = []
    for position, communication in enumerate(command.communications):
        body = encode_body(communication)
        before, token = stored.get(communication.id, (None, None))
        if before is None:
            _insert_communication(connection, command.id, position, priority, communication, body)
        elif before != body:
            _update_communication(connection, communication, body)
        if communication.token is not None and communication.token != token:
            learned.append(communication.token)
    unpark(connection, learned)


def _insert_communication(
    connection: apsw.Connection,
    command: CommandId,
    position: int,
    priority: int,
    communication: Communication,
    body: bytes,
) -> None:
    connection.execute(
        queries.INSERT_COMMUNICATION,
        (
            communication.id,
            command,
            position,
            communication.operation,
            priority,
            communication.work,
            communication.state,
            micros_or_none(communication.wake),
            micros_or_none(due_of(communication)),
            communication.token,
            communication.sent_at is not None,
            body,
        ),
    )
    endpoints = encode_endpoints(communication)
    if endpoints is not None:
        number = connection.last_insert_rowid()
        connection.execute(queries.INSERT_ENDPOINTS, (number, endpoints))


def _update_communication(
    connection: apsw.Connection, communication: Communication, body: bytes
) -> None:
    connection.execute(
        queries.UPDATE_COMMUNICATION,
        {
            "id": communication.id,
            "work": communication.work,
            "state": communication.state,
            "wake": micros_or_none(communication.wake),
            "due": micros_or_none(due_of(communication)),
            "token": communication.token,
            "sent": communication.sent_at is not None,
            "body": body,
        },
    )


def _token_taken(connection: apsw.Connection, communications: Iterable[Communication]) -> bool:
    """Whether a token is another communication's: given twice, or a stranger's."""
    seen: set[RequestToken] = set()
    for communication in communications:
        if communication.token is None:
            continue
        owner = connection.execute(queries.COMMUNICATION_OF_TOKEN, (communication.token,)).get
        if communication.token in seen or owner not in (None, communication.id):
            return True
        seen.add(communication.token)
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


def _tell_order(connection: apsw.Connection, command: Command, before: str, at: datetime) -> None:
    """Somebody has put a command right that its order is in trouble about: nothing is published of
    that, and the order goes on with it."""
    order, state = command.request.order, command.activity.state
    if order is not None and before in TO_DO and state != before:
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
