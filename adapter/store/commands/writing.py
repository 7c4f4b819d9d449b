"""What changes the database: functions over one open transaction. `at` is the store's clock."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from adapter.commands.activity import TO_DO, Command, Communication, Work
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
from adapter.model.ids import CommandId, OrderId, RequestToken
from adapter.store import rows
from adapter.store.chain import Head, digest_of
from adapter.store.commands import queries, reading, usage_limits
from adapter.store.commands.inbox import dispose, put_judged, put_measurements, unpark
from adapter.store.compression import PLAIN, compressed
from adapter.store.connection import SqlConnection
from adapter.store.orders import queries as orders
from adapter.store.registry.registry import install_unmoved, put_install
from adapter.store.rows import (
    as_list,
    due_of,
    encode,
    encode_activity,
    encode_body,
    encode_endpoints,
    encode_request,
    encode_targets,
    micros,
    micros_or_none,
    stored_content,
)
from adapter.store.skeletons import IN_JSON
from adapter.store.transaction import MOST_AT_HAND, Each, Row, SavedRow, Transaction

_NUMBERS: Final = 512
"""Of new commands, that are taken from a server at a time: they are given to nobody else."""

_TAKE_NUMBERS: Final = """
SELECT nextval(pg_get_serial_sequence('command', 'number')) FROM generate_series(1, ?)"""


_WAKE_AWAITING: Final = Each(orders.WAKE_AWAITING_ONE, counted=False)


class MovedOn(Exception):
    """A command that was going to be saved with others is no longer as it was."""


# ---------------------------------------------------------------- submit


def submit(tx: Transaction, batch: Sequence[Submission], at: datetime) -> list[Submitted]:
    return [_submit(tx, item, at) for item in batch]


def _submit(tx: Transaction, item: Submission, at: datetime) -> Submitted:
    command = item.command
    noted = _last_about(tx, item.audit, command.id)
    row = (
        command.id,
        item.key,
        command.request.kind,
        command.activity.state,
        micros_or_none(item.wake),
        command.version,
        noted,
        encode_activity(command.activity),
    )
    number = _insert(tx, item, row)
    if not isinstance(number, int):
        return number
    tx.count("command", command.activity.state)
    _keep_row(tx, command.id, (number, command.version, noted, row[4]))
    request, content = encode_request(command.request), _content(tx, item)
    tx.append(queries.INSERT_ASKED, (number, content, request, encode_targets(command.targets)))
    tx.append(queries.INSERT_TARGET, *((x.device, command.id) for x in command.targets))
    for position, communication in enumerate(command.communications):
        _put_communication(tx, command, position, None, communication, item)
    _learn(tx, [x.token for x in command.communications if x.token is not None])
    _put_completions(tx, command)
    if item.steal:
        _take_lanes(tx, item.lanes, command.id, number, at)
    _put_outcomes(tx, command.id, item.outcomes)
    publish(tx, item.publications, at)
    note_all(tx, item.audit, at, of=command.id, noted=0)
    return Accepted(id=command.id)


def _insert(tx: Transaction, item: Submission, row: Row) -> int | Submitted:
    """The number of the new command, which has its lanes; else why it was not put."""
    if tx.later and not item.steal:
        # One that is known, or finds a lane taken, breaks a constraint when all are written.
        number = _next_number(tx)
        tx.append(queries.INSERT_COMMANDS, (number, *row))
        tx.append(queries.TAKE_FREE_LANES, *((lane, number) for lane in dict.fromkeys(item.lanes)))
        return number
    db = tx.guarded
    db.execute(queries.INSERT_COMMAND, row)
    if not db.changes():
        return _known(tx, item)
    number = db.last_insert_rowid()
    if not item.steal and not _take_free_lanes(db, item.lanes, number):
        db.execute(queries.UNDO_COMMAND, (number,))
        return LaneTaken(holders=_other_holders(db, item.lanes, item.command.id))
    return number


def _next_number(tx: Transaction) -> int:
    if not tx.free_numbers:
        found = tx.immediate.execute(_TAKE_NUMBERS, (_NUMBERS,))
        tx.free_numbers = [number for (number,) in found][::-1]
    return tx.free_numbers.pop()


def _learn(tx: Transaction, tokens: Sequence[RequestToken]) -> None:
    """They are known now: what waits for them is due."""
    if tx.later:
        for way in (queries.UNPARK_ONE, queries.UNPARK_ONE_PUSHED_OUT):
            tx.append(way, *((token,) for token in tokens))
    else:
        unpark(tx.immediate, tokens)


def _known(tx: Transaction, item: Submission) -> Submitted:
    """The same batch again answers as the first time; the same key from elsewhere, Duplicate."""
    connection, wanted = tx.connection, _content(tx, item)
    row = connection.execute(queries.CONTENT_OF_COMMAND, (item.command.id,)).get
    if row is not None:
        same = row[1] == wanted
        return Accepted(id=row[0], repeated=True) if same else KeyConflict(id=row[0])
    owner, content = connection.execute(queries.COMMAND_OF_KEY, (item.key,)).get
    return Duplicate(id=owner) if content == wanted else KeyConflict(id=owner)


def _content(tx: Transaction, item: Submission) -> str | bytes:
    return stored_content(item.content) if tx.by_number else item.content


def _take_free_lanes(connection: SqlConnection, lanes: Sequence[str], number: int) -> bool:
    """All of them, for the command of this number, or False: somebody has one."""
    wanted: list[Row] = [(lane, number) for lane in dict.fromkeys(lanes)]
    before = connection.total_changes()
    queries.TRY_FREE_LANES.run(connection, wanted)
    if connection.total_changes() - before == len(wanted):
        return True
    connection.execute(queries.GIVE_UP_LANES, (number,))
    return False


# ---------------------------------------------------------------- save


_NOTHING: Final[Mapping[CommandId, Command]] = MappingProxyType({})


def save(
    tx: Transaction,
    batch: Sequence[Change],
    at: datetime,
    stored: Mapping[CommandId, Command] = _NOTHING,
) -> list[Saved]:
    """`stored` has commands as they were stored with the version that is saved, where that is at
    hand; the others are read. What only the version guards is saved first, together."""
    together = {} if tx.careful else _plain(batch, stored)
    _save_together(tx, list(together.values()), at)
    return [
        Saved.SAVED if place in together else _save(tx, change, stored, at)
        for place, change in enumerate(batch)
    ]


class _Moving(Struct, frozen=True, gc=False):
    """A change of a command, and the command as it is stored."""

    id: CommandId
    change: Change
    before: Command
    after: Command


def _plain(batch: Sequence[Change], stored: Mapping[CommandId, Command]) -> dict[int, _Moving]:
    """By their places in the batch, those that nothing but their version guards; one a command."""
    found: dict[int, _Moving] = {}
    seen: set[CommandId] = set()
    for place, change in enumerate(batch):
        after = change.command
        if after is None or (id := after.activity.id) in seen:
            continue
        seen.add(id)
        before = stored.get(id)
        if before is None or before.version != after.version or _gives_up_token(before, after):
            continue
        guarded = change.acquire or change.installs or change.debit or change.inbox
        if not (guarded or change.uses or change.given_back or change.switches):
            found[place] = _Moving(id, change, before, after)
    return found


def _gives_up_token(before: Command, after: Command) -> bool:
    """Then another could take it in the same transaction, and no constraint would tell."""
    known, kept = before.communications, after.communications
    if len(kept) < len(known):
        return True
    for was, now in zip(known, kept, strict=False):  # each save of a command comes by here
        if was is not now and was.token is not None and now.token != was.token:
            return True
    return False


def _save_together(tx: Transaction, moving: Sequence[_Moving], at: datetime) -> None:
    """With all that goes with them. Raises MovedOn where one of them has: which, the careful way
    tells."""
    if not moving:
        return
    _find_rows(tx, moving)
    released = [each.id for each in moving if each.change.release]
    if tx.later:
        numbers = [tx.saved[each][0] for each in released if each in tx.saved]
        tx.append(queries.RELEASE_OF, *((number,) for number in numbers))
        tx.append(_WAKE_AWAITING, *((micros(at), each) for each in released))
    else:
        _release(tx.immediate, released, at)
    learned: list[RequestToken] = []
    for each, noted in zip(moving, _move(tx, moving, later=tx.later), strict=True):
        learned += _put_command(tx, each, at)
        _put_along(tx, each.change, at, noted)
    _learn(tx, learned)
    _free_places(tx, moving, at)


def _find_rows(tx: Transaction, moving: Sequence[_Moving]) -> None:
    """What another has saved since is at hand no more."""
    wanted = [
        each.id
        for each in moving
        if (row := tx.saved.get(each.id)) is None or row[1] != each.after.version
    ]
    if wanted:
        for id, *row in tx.immediate.execute(queries.SAVED_COMMANDS, (as_list(wanted),)):
            _keep_row(tx, id, (row[0], row[1], row[2], row[3]))


def _keep_row(tx: Transaction, command: CommandId, row: SavedRow) -> None:
    tx.saved[command] = row
    if len(tx.saved) > MOST_AT_HAND:
        del tx.saved[next(iter(tx.saved))]


def _last_about(tx: Transaction, notes: Sequence[AuditNote], command: CommandId) -> int:
    """The number of the last of these notes about the command, which are the next in the audit;
    0: none is."""
    about = [seq for seq, note in enumerate(notes, tx.head.seq + 1) if note.subject == command]
    return about[-1] if about else 0


def _save(
    tx: Transaction, change: Change, stored: Mapping[CommandId, Command], at: datetime
) -> Saved:
    """Every guard first, then every write; the version in the row is the last guard."""
    db, command = tx.guarded, change.command
    moving: _Moving | None = None
    if command is not None:
        before = stored.get(command.id) or reading.load(tx.connection, [command.id]).get(command.id)
        if before is None or before.version != command.version:
            return Saved.MOVED
        moving = _Moving(command.id, change, before, command)
    if not all(install_unmoved(db, install) for install in change.installs):
        return Saved.MOVED
    held: dict[str, CommandId] = {}
    noted: int | None = None
    if moving is not None:
        held = _holders(db, change.acquire)
        if set(held.values()) - {moving.id}:
            return Saved.LANE_TAKEN
        if _token_taken(tx, moving):
            return Saved.TOKEN_TAKEN
    if change.switches and db.execute(queries.ANY_HOLD).get is not None:
        return Saved.HELD
    if change.debit is not None and not _affordable(tx.connection, change.debit, at):
        return Saved.OVER_BUDGET
    if change.uses is not None and (full := usage_limits.full(db, change.uses)) is not None:
        publish(tx, [usage_limits.put_off(tx, change.uses, full)], at)
        return Saved.OVER_LIMIT
    if moving is not None:
        id = moving.id
        tx.saved.pop(id, None)
        _find_rows(tx, [moving])
        try:
            (noted,) = _move(tx, [moving], later=False)
        except MovedOn:
            tx.saved.pop(id, None)
            return Saved.MOVED
        if change.release:
            _release(db, [id], at)
            held = {}
        free = [lane for lane in dict.fromkeys(change.acquire) if lane not in held]
        queries.TAKE_FREE_LANES.run(db, [(lane, tx.saved[id][0]) for lane in free])
        unpark(db, _put_command(tx, moving, at))
        _free_places(tx, [moving], at)
    if change.debit is not None:
        owner = None if command is None else command.id
        tx.append(queries.INSERT_DEBIT, (change.debit.bucket, micros(at), owner))
    if change.uses is not None:
        usage_limits.take(db, change.uses)
    if change.given_back is not None:
        usage_limits.give_back(db, change.given_back)
    for install in change.installs:
        put_install(db, install, install.version + 1)
    if change.inbox:
        dispose(tx.connection, change.inbox)
    _put_along(tx, change, at, noted)
    return Saved.SAVED


def _move(tx: Transaction, moving: Sequence[_Moving], *, later: bool) -> list[int]:
    """Save the commands' rows; their notes are the next that are made, in this order. The last
    entry about each before these; raises MovedOn where one is not as it was. `later`: that shows
    when all is written."""
    ways: dict[Each, list[Row]] = {}
    noted: list[int] = []
    made = tx.head.seq
    for each in moving:
        id, change = each.id, each.change
        row = tx.saved.get(id)
        if row is None:
            raise MovedOn
        number, _, last, slept = row
        noted.append(last)
        for note in change.audit:
            made += 1
            if note.subject == id:
                last = made
        before, after = each.before.activity, each.after.activity
        version, wake = each.after.version, micros_or_none(change.wake)
        values = (number, version, last, after.state, wake)
        if after.state is not before.state or wake != slept:
            body = None if after is before else encode_activity(after)
            way = queries.WAKE_COMMAND if after.state is before.state else queries.MOVE_COMMAND
            ways.setdefault(way, []).append((*values, body))
        elif after is before:  # most saves are of a communication alone
            ways.setdefault(queries.SAVE_VERSION, []).append(values)
        else:
            ways.setdefault(queries.SAVE_ACTIVITY, []).append((*values, encode_activity(after)))
        tx.saved[id] = (number, version + 1, last, wake)
    for way, those in ways.items():
        if later:
            tx.append(way, *those)
        elif not way.changes(tx.immediate, those):
            raise MovedOn
    return noted


def _put_command(tx: Transaction, moving: _Moving, at: datetime) -> list[RequestToken]:
    """What is the command's beside its row. The tokens that are new."""
    change, before, command = moving.change, moving.before, moving.after
    tx.moved("command", before.activity.state, command.activity.state)
    learned = _put_communications(tx, moving)
    if before.activity.completions != command.activity.completions:
        _put_completions(tx, command)
    if change.outcomes:
        _put_outcomes(tx, moving.id, change.outcomes)
    if command.request.order is not None:
        _tell_order(tx.immediate, command.request.order, command, before, at)
    return learned


def _put_along(tx: Transaction, change: Change, at: datetime, noted: int | None) -> None:
    if change.measurements:
        put_measurements(tx, change.measurements)
    if change.received:
        put_judged(tx, change.received, change.command)
    if change.publications:
        publish(tx, change.publications, at)
    of = None if change.command is None else change.command.id
    note_all(tx, change.audit, at, of=of, noted=noted)


def _put_communications(tx: Transaction, moving: _Moving) -> list[RequestToken]:
    """Those that are new or have changed; each keeps its position. Their tokens that are new: what
    waits for them is due."""
    known = moving.before.communications
    learned: list[RequestToken] = []
    for position, communication in enumerate(moving.after.communications):
        was = known[position] if position < len(known) else None
        if was is communication or was == communication:
            continue
        _put_communication(tx, moving.after, position, was, communication, moving.change)
        if communication.token is not None and (was is None or was.token != communication.token):
            learned.append(communication.token)
    return learned


def _free_places(tx: Transaction, moving: Sequence[_Moving], at: datetime) -> None:
    """What is not to be sent any more waits for no room; what leaves uses its place."""
    withdrawn = [
        now.id
        for each in moving
        for was, now in zip(each.before.communications, each.after.communications, strict=False)
        if was.work is Work.SEND and now.work is not Work.SEND and each.change.uses is None
    ]
    usage_limits.withdraw(tx, withdrawn, at)


def _put_communication(
    tx: Transaction,
    command: Command,
    position: int,
    was: Communication | None,
    communication: Communication,
    change: Change | Submission,
) -> None:
    """What is leased may be claimed once that is over, all else that has work when it is due."""
    tx.moved("send", _sent(was), _sent(communication))
    id, sent = communication.id, communication.sent_at is not None
    work, state = communication.work, communication.state
    body = encode_body(communication)
    moves = was is None or (work, state, communication.wake) != (was.work, was.state, was.wake)
    wake = micros_or_none(communication.wake) if moves else None
    due = None if due_of(communication) is None else wake
    if id in change.leased:
        due = micros_or_none(change.lease_until)
    if was is None:
        operation, rank = communication.operation, priority_of(command.request).rank
        first = (id, command.id, position, operation, rank, work, state, wake)
        tx.append(queries.INSERT_COMMUNICATION, (*first, due, communication.token, sent, body))
    else:
        learned = communication.token != was.token or sent != (was.sent_at is not None)
        if moves:
            moved = (work, state, wake, due)
            if learned:
                tx.append(queries.MOVE_WITH_TOKEN, (*moved, communication.token, sent, body, id))
            else:
                tx.append(queries.MOVE_COMMUNICATION, (*moved, sent, body, id))
        elif learned:
            tx.append(queries.LEARN_TOKEN, (communication.token, sent, body, id))
        else:
            tx.append(queries.SAVE_COMMUNICATION, (body, id))
    endpoints = encode_endpoints(communication) if was is None else None
    if endpoints is not None:
        tx.append(queries.INSERT_ENDPOINTS, (communication.id, endpoints))


def _sent(communication: Communication | None) -> str | None:
    """Under which state it is counted among those that were sent."""
    return communication.state if communication and communication.sent_at is not None else None


def _token_taken(tx: Transaction, moving: _Moving) -> bool:
    """Whether a token that is new is another communication's: given twice, or a stranger's."""
    known = {item.id: item.token for item in moving.before.communications}
    seen: set[RequestToken] = set()
    for communication in moving.after.communications:
        token = communication.token
        if token is None:
            continue
        if token in seen:
            return True
        seen.add(token)
        if known.get(communication.id) != token:
            owner = tx.connection.execute(queries.COMMUNICATION_OF_TOKEN, (token,)).get
            if owner not in (None, communication.id):
                return True
    return False


def _put_completions(tx: Transaction, command: Command) -> None:
    rows = ((x.id, command.id, x.kind, x.state) for x in command.activity.completions)
    tx.append(queries.UPSERT_COMPLETION, *rows)


def _put_outcomes(tx: Transaction, command: CommandId, outcomes: Sequence[EndpointOutcome]) -> None:
    rows = ((command, item.endpoint, encode(item)) for item in outcomes)
    tx.append(queries.UPSERT_OUTCOME, *rows)


def _holders(connection: SqlConnection, lanes: Sequence[str]) -> dict[str, CommandId]:
    return dict(connection.execute(queries.HOLDERS, (as_list(lanes),))) if lanes else {}


def _other_holders(
    connection: SqlConnection, lanes: Sequence[str], command: CommandId
) -> dict[str, CommandId]:
    return {
        lane: holder for lane, holder in _holders(connection, lanes).items() if holder != command
    }


def _take_lanes(
    tx: Transaction,
    lanes: Sequence[str],
    command: CommandId,
    number: int,
    at: datetime,
) -> None:
    """Also from another command, where people let this one pass: who waited for that looks."""
    connection = tx.immediate
    passed = sorted(set(_other_holders(connection, lanes, command).values()))
    connection.executemany(queries.TAKE_LANE, [(lane, number) for lane in lanes])
    _wake_awaiting(connection, passed, at)
    usage_limits.look_again(tx, passed, at)


def _release(connection: SqlConnection, commands: Sequence[CommandId], at: datetime) -> None:
    """Give back all their lanes."""
    if commands:
        connection.execute(queries.RELEASE_LANES, (as_list(commands),))
        _wake_awaiting(connection, commands, at)


def _wake_awaiting(connection: SqlConnection, commands: Sequence[CommandId], at: datetime) -> None:
    if commands:
        connection.execute(orders.WAKE_AWAITING, (micros(at), as_list(commands)))


def _tell_order(
    connection: SqlConnection, order: OrderId, command: Command, before: Command, at: datetime
) -> None:
    """Somebody has put a command right that its order is in trouble about: nothing is published of
    that, and the order goes on with it."""
    state, was = command.activity.state, before.activity.state
    if was in TO_DO and state is not was:
        connection.execute(orders.WAKE, {"id": order, "at": micros(at)})


def _affordable(connection: SqlConnection, debit: Debit, at: datetime) -> bool:
    since = micros(at) - round(debit.window_s * 1_000_000)
    used = connection.execute(queries.DEBITED, (debit.bucket, since, debit.limit)).get
    return bool(used < debit.limit)


def publish(tx: Transaction, publications: Iterable[Publication], at: datetime) -> None:
    when = micros(at)
    for item in publications:
        body = encode(item)
        tx.bodies.setdefault(item.id, body)
        tx.append(queries.INSERT_PUBLICATION, (item.id, when, *compressed(body)))


def note_all(
    tx: Transaction,
    notes: Iterable[AuditNote],
    at: datetime,
    *,
    of: CommandId | None = None,
    noted: int | None = None,
) -> None:
    """Where they are made with a command, `noted` is the last entry about it before them."""
    when = micros(at)
    entries: list[Row] = []
    seq, digest = tx.head.seq, tx.head.digest
    for note in notes:
        body, about = rows.encode_note(note), note.subject
        seq += 1
        digest = digest_of(digest, seq, when, body)
        short = rows.short_note(body, about)
        form, stored = tx.skeletons.parted(tx.immediate, short, IN_JSON) or (PLAIN, short)
        row = tx.saved.get(about)
        linked = about == of
        subject = row[0] if row is not None and tx.by_number else about
        entries.append((seq, when, subject, form, noted if linked else None, stored, digest))
        if linked:
            noted = seq
    if entries:
        tx.head = Head(seq=seq, digest=digest)
        tx.append(queries.INSERT_AUDIT, *entries)


def delivered(tx: Transaction, sink: str, seq: int) -> None:
    tx.connection.execute(queries.DELIVERED, (sink, seq))
