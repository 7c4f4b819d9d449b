"""What comes in and is kept as it came: the inbox, messages, measurements."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

from adapter.commands.activity import Command
from adapter.engine.commands.correlator import STATUS_CHANGED
from adapter.engine.commands.ports import (
    Disposition,
    InboxState,
    JudgedMessage,
    LoggedCall,
    Received,
)
from adapter.errors import NotFound
from adapter.model.ids import CommandId, InboxId, RequestToken
from adapter.model.reading import InitialMeasurement
from adapter.store.commands import queries
from adapter.store.compression import compressed
from adapter.store.connection import SqlConnection
from adapter.store.rows import STATUS, as_list, encode, micros, micros_or_none
from adapter.store.skeletons import IN_XML
from adapter.store.transaction import Row, Transaction


def put_received(tx: Transaction, item: Received, state: InboxState, reason: str) -> InboxId:
    """The number of the new row. Its bytes stand apart, in the spool or in a table of their own."""
    digest = item.spool.digest if item.spool else hashlib.sha256(item.raw).digest()
    refused = item.rejection is not None
    row = (*_first_columns(item, state, reason), digest, refused)
    connection = tx.connection
    inbox = InboxId(connection.execute(queries.INSERT_INBOX, row).get)
    _count(tx, item, state, refused=refused)
    if item.spool is not None:
        connection.execute(queries.INSERT_SPOOLED, (inbox, item.spool.file, item.spool.size))
    connection.execute(queries.INSERT_RAW, (inbox, item.raw))
    return inbox


def put_parked(
    tx: Transaction, item: Received, token: RequestToken, reason: str, wake: datetime
) -> bool:
    """False where the token is known: nothing was put then."""
    row = {
        "operation": item.operation,
        "at": micros(item.at),
        "state": InboxState.PARKED,
        "communication": item.communication,
        "remote": item.remote,
        "reason": reason,
        "hash": hashlib.sha256(item.raw).digest(),
        "token": token,
        "wake": micros(wake),
    }
    inbox = tx.connection.execute(queries.INSERT_PARKED, row).get
    if inbox is not None:
        tx.connection.execute(queries.INSERT_RAW, (inbox, item.raw))
        _count(tx, item, InboxState.PARKED)
    return inbox is not None


def put_judged(tx: Transaction, messages: Iterable[JudgedMessage], command: Command | None) -> None:
    """`command` is theirs: what it tells of its communications is not repeated."""
    known = () if command is None else command.communications
    tokens = {item.id: item.token for item in known}
    for each in messages:
        item = each.received
        operation: str | int = item.operation
        place: str | int | None = item.communication
        owner: CommandId | None = each.command
        token: RequestToken | None = each.token
        if item.communication in tokens and each.state is InboxState.APPLIED:
            owner = None
            token = None if tokens[item.communication] == token else token
            place = tx.numbers.get(item.communication, place)
            if tx.by_number and operation == STATUS_CHANGED:
                operation = STATUS
        digest = hashlib.sha256(item.raw).digest()
        first = (operation, micros(item.at), each.state, place, item.remote, each.reason)
        row = (*first, digest, owner, token, False, *_small(tx, item.raw))
        tx.append(queries.INSERT_JUDGED, row)
        _count(tx, item, each.state)


def _count(tx: Transaction, item: Received, state: InboxState, *, refused: bool = False) -> None:
    """A new row, by its state and, of a callback, by how it was matched: as the table has it."""
    tx.count("inbox", state)
    if item.operation != STATUS_CHANGED or state is InboxState.NEW or refused:
        return
    if item.communication is not None:
        tx.count("callback", "addressed")
    elif state in (InboxState.APPLIED, InboxState.IGNORED):
        tx.count("callback", "by_token")
    else:
        tx.count("callback", "unmatched")


def _first_columns(item: Received, state: InboxState, reason: str) -> Row:
    return item.operation, micros(item.at), state, item.communication, item.remote, reason


def unpark(connection: SqlConnection, tokens: Sequence[RequestToken]) -> None:
    """Those that wait for these tokens are due, with those that gave way to others."""
    if tokens:
        for query in (queries.UNPARK, queries.UNPARK_PUSHED_OUT):
            connection.execute(query, (as_list(tokens),))


def dispose(connection: SqlConnection, dispositions: Iterable[Disposition]) -> None:
    for item in dispositions:
        connection.execute(
            queries.DISPOSE,
            (
                item.state,
                item.reason,
                item.command,
                item.token,
                micros_or_none(item.wake),
                item.inbox,
            ),
        )
        if connection.changes() != 1:
            raise NotFound(f"no inbox row {item.inbox}")
        if item.state is InboxState.PARKED and item.token is not None:
            names = {"inbox": item.inbox, "token": item.token}
            connection.execute(queries.UNPARK_KNOWN, names)


def put_measurements(tx: Transaction, measurements: Iterable[InitialMeasurement]) -> None:
    rows = ((item.id, item.device, micros(item.end), encode(item)) for item in measurements)
    tx.append(queries.INSERT_MEASUREMENT, *rows)


def _small(tx: Transaction, message: bytes) -> tuple[int, bytes]:
    """(form, bytes)."""
    return tx.skeletons.parted(tx.immediate, message, IN_XML) or compressed(message)


def log_call(tx: Transaction, call: LoggedCall) -> None:
    form, body = _small(tx, call.request + call.reply)
    row = (
        tx.numbers.get(call.communication, call.communication),
        micros(call.sent_at),
        micros(call.replied_at) - micros(call.sent_at),
        call.operation,
        call.status,
        len(call.request),
        form,
        body,
    )
    tx.append(queries.INSERT_MESSAGE, row)
