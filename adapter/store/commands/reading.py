"""What only looks at the database: functions over one connection that sees one snapshot."""

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from adapter.commands.activity import FINAL, Command, Communication, State, Work
from adapter.commands.flows import Operation
from adapter.commands.outcomes import EndpointOutcome
from adapter.engine.commands.message_log import masked
from adapter.engine.commands.ports import (
    AuditEntry,
    Filter,
    Found,
    InboxRow,
    InboxState,
    Leased,
    Ledger,
    Logged,
    MessageDamaged,
    PublicationRow,
)
from adapter.engine.listing import MOST_LOOKED_AT, AskedFilter, Listing
from adapter.engine.upkeep.set_aside import RowKind
from adapter.errors import StoreFailed
from adapter.model.device import DeviceView
from adapter.model.ids import (
    CommandId,
    CommunicationId,
    DeviceId,
    EndpointId,
    InboxId,
    RequestToken,
    endpoint_key,
    sortable_id,
)
from adapter.model.reading import InitialMeasurement
from adapter.model.values import replace
from adapter.store import chain, rows
from adapter.store.commands import queries
from adapter.store.commands.claiming import claim_groups
from adapter.store.compression import expanded, expanded_or_damaged
from adapter.store.connection import Rows, SqlConnection
from adapter.store.rows import encode, micros, moment
from adapter.store.upkeep.unreadable import made_of, unreadable_rows

_AFTER_ALL: Final = "\U0010ffff"
_HIGHEST: Final = 2**63 - 1
_MOST_LISTED_BYTES: Final = 65_536
"""Of the targets of a command in a list: some thousand."""


def load(connection: SqlConnection, ids: Sequence[CommandId]) -> dict[CommandId, Command]:
    """In the order asked for; unknown ones are left out."""
    wanted = encode(ids)
    communications: dict[str, list[Communication]] = {}
    for command, endpoints, *row in connection.execute(
        queries.COMMUNICATIONS_OF_COMMANDS, (wanted,)
    ):
        communications.setdefault(command, []).append(rows.read_communication(row, endpoints))
    found: dict[CommandId, Command] = {}
    for each in connection.execute(queries.LOAD_COMMANDS, (wanted,)):
        command = each[0]
        found[command] = rows.read_command(each, tuple(communications.get(command, ())))
    return {command: found[command] for command in ids if command in found}


def sending(connection: SqlConnection) -> list[tuple[object, tuple[Any, ...]]]:
    """(communication, row) of each; `leased` reads the rows."""
    return [(row[1], row) for row in connection.execute(queries.SENDING)]


def leased(row: tuple[Any, ...]) -> Leased:
    command, communication, operation, priority = row
    return Leased(
        command=command,
        communication=communication,
        operation=Operation(operation),
        priority=priority,
    )


def next_wake(
    connection: SqlConnection, skip: frozenset[Operation] = frozenset()
) -> datetime | None:
    times: list[int | None] = [
        connection.execute(query).get
        for query in (
            queries.FIRST_COMMAND_WAKE, queries.FIRST_NEW, queries.FIRST_PARKED, queries.FIRST_TRY
        )
    ]  # fmt: skip
    for work in Work:
        left_out = skip if work is Work.SEND else frozenset()
        groups = claim_groups(connection, work)
        times += [due for _, operation, due in groups if operation not in left_out]
    first = min((time for time in times if time is not None), default=None)
    return None if first is None else moment(first)


def find(
    connection: SqlConnection,
    communications: Sequence[CommunicationId],
    tokens: Sequence[RequestToken],
) -> list[Found]:
    """By id, then by token, in the order asked for; each communication once."""
    found: dict[CommunicationId, Found] = {}
    for query, wanted in (
        (queries.FIND_COMMUNICATIONS, communications),
        (queries.FIND_TOKENS, tokens),
    ):
        if wanted:
            for command, version, endpoints, *row in connection.execute(query, (encode(wanted),)):
                communication = rows.read_communication(row, endpoints)
                found[communication.id] = Found(
                    command=command, version=version, communication=communication
                )
    by_token = {item.communication.token: item for item in found.values()}
    ordered = [found[item] for item in communications if item in found]
    ordered += [by_token[item] for item in tokens if item in by_token]
    return list({item.communication.id: item for item in ordered}.values())


def holders(connection: SqlConnection, lanes: Sequence[str]) -> dict[str, CommandId]:
    return dict(connection.execute(queries.HOLDERS, (encode(lanes),)))


# ---------------------------------------------------------------- lists


def list_commands(
    connection: SqlConnection, wanted: Filter, most: int = MOST_LOOKED_AT
) -> Listing[Command, CommandId]:
    ids: list[CommandId] = []
    first = first_id_since(wanted.asked.since)
    looked_at: CommandId | None = None
    for count, command in enumerate(_candidates(connection, wanted), 1):
        if command < first:
            break
        if _fits(connection, command, wanted):
            ids.append(command)
        if len(ids) >= wanted.limit:
            break
        if count >= most:
            looked_at = command
            break
    return replace(listed(connection, ids), looked_at=looked_at)


def first_id_since(at: datetime | None) -> str:
    """No id of what was accepted at that time or later sorts before it."""
    return "" if at is None else sortable_id(max(micros(at), 0) // 1000, 0)


def listed(connection: SqlConnection, ids: Sequence[CommandId]) -> Listing[Command, CommandId]:
    """As `load`, but without what fills the memory: of a page nobody asks for each target."""
    wanted = encode(ids).decode()
    communications: dict[str, list[Sequence[Any]]] = {}
    for command, *communication in connection.execute(queries.LIST_COMMUNICATIONS, (wanted,)):
        communications.setdefault(command, []).append(communication)
    values = {"ids": wanted, "most": _MOST_LISTED_BYTES}
    found = {row[0]: row for row in connection.execute(queries.LIST_COMMANDS, values)}
    whole = [(each, (found.get(each), communications.get(each, ()))) for each in ids]
    made, bad = made_of(whole, _listed_command)
    unreadable = unreadable_rows(connection, RowKind.COMMAND, bad)
    return Listing(ids=ids, rows=made, unreadable=unreadable)


def _listed_command(whole: tuple[tuple[Any, ...] | None, Sequence[Sequence[Any]]]) -> Command:
    row, communications = whole
    if row is None:
        raise LookupError("the request of the command is missing")
    *columns, left_out = row
    if left_out is None:
        raise ValueError("the targets of the command are no JSON")
    mine = tuple(rows.read_communication(each, None) for each in communications)
    command = rows.read_command(columns, mine)
    return replace(command, left_out=left_out)


def _candidates(connection: SqlConnection, wanted: Filter) -> Iterator[CommandId]:
    """Ids, newest first, by the index that leaves the least to look through."""
    before = wanted.before or _AFTER_ALL
    if wanted.device is not None:
        values = {"device": wanted.device, "before": before}
        yield from _ids(connection, queries.LIST_DEVICE, values)
    elif wanted.state is State.COMPLETED:
        yield from _ids(connection, queries.LIST_COMPLETED, {"before": before})
    elif wanted.state is not None:
        values = {"state": wanted.state, "before": before}
        yield from _ids(connection, queries.LIST_STATE, values)
    elif wanted.open_only:
        yield from _open_ids(connection, before)
    elif wanted.kind is not None:
        values = {"kind": wanted.kind, "before": before}
        yield from _ids(connection, queries.LIST_KIND, values)
    else:
        yield from _ids(connection, queries.LIST_ALL, {"before": before})


def _ids(connection: SqlConnection, query: str, values: dict[str, str]) -> Iterator[CommandId]:
    for (command,) in connection.execute(query, values):
        yield command


def _open_ids(connection: SqlConnection, before: str) -> Iterator[CommandId]:
    runs = [
        _ids(connection, queries.OPEN_COMMANDS, {"state": state, "before": before})
        for state in State
        if state not in FINAL
    ]
    return heapq.merge(*runs, reverse=True)


def _fits(connection: SqlConnection, command: CommandId, wanted: Filter) -> bool:
    kind, state = connection.execute(queries.COMMAND_MARKS, (command,)).get
    return (
        wanted.kind in (None, kind)
        and wanted.state in (None, state)
        and not (wanted.open_only and state in FINAL)
        and _asked_by(connection, command, wanted.asked)
        and changed_since(connection, command, wanted.asked.updated)
    )


class _Asked(Struct):
    """What of a request tells who asked."""

    requester: str = ""
    reference: str = ""


_asked_of: Final = msgspec.json.Decoder(_Asked).decode


def _asked_by(connection: SqlConnection, command: CommandId, wanted: AskedFilter) -> bool:
    """Also where nobody can tell: the row is listed as unreadable."""
    requester, reference = wanted.requester, wanted.reference
    if requester is None and reference is None:
        return True
    try:
        asked = _asked_of(connection.execute(queries.COMMAND_REQUEST, (command,)).get)
    except (msgspec.DecodeError, TypeError):
        return True
    return requester in (None, asked.requester) and reference in (None, asked.reference)


def changed_since(connection: SqlConnection, subject: str, at: datetime | None) -> bool:
    """Whether something was done to a command or an order at that time or later, by the audit."""
    if at is None:
        return True
    values = {"subject": subject, "after": 0, "updated": micros(at)}
    return bool(connection.execute(queries.CHANGED_SINCE, values).get)


def by_key(connection: SqlConnection, key: str) -> CommandId | None:
    row = connection.execute(queries.COMMAND_OF_KEY, (key,)).get
    return None if row is None else row[0]


def outcomes(connection: SqlConnection, command: CommandId) -> list[EndpointOutcome]:
    """Ordered by endpoint."""
    found = connection.execute(queries.OUTCOMES, (command,))
    return [rows.decode_outcome(body) for (body,) in found]


# ---------------------------------------------------------------- inbox


UNADDRESSED_SHARE: Final = 4
"""One row in so many is left to messages that name no communication, however many others wait. No
more of them come along with one that does: it waits until all of its batch are done."""


def _inbox_rows(connection: SqlConnection, query: str, values: tuple[Any, ...]) -> list[InboxRow]:
    return [inbox_row_of(row) for row in connection.execute(query, values)]


def _as_received(raw: bytes, digest: bytes) -> bool:
    return hashlib.sha256(raw).digest() == digest


def inbox_row_of(row: tuple[Any, ...]) -> InboxRow:
    """An empty body may be one that is no longer kept; only who judges it takes it for damage."""
    raw = expanded_or_damaged(row[15], row[2], row[16])
    return InboxRow(
        id=InboxId(row[0]),
        operation=row[1],
        raw=raw,
        at=moment(row[3]),
        communication=row[4],
        remote=row[5],
        state=InboxState(row[6]),
        reason=row[7],
        command=row[8],
        token=row[9],
        spool=row[10] or "",
        spool_bytes=row[11] or 0,
        damaged=bool(raw) and not _as_received(raw, row[12]),
        times=row[13] or 1,
        last_at=None if row[14] is None or row[13] == 1 else moment(row[14]),
    )


def whole_inbox_row_of(row: tuple[Any, ...]) -> InboxRow:
    """One that is going to be judged. Raises MessageDamaged where its bytes are not those that were
    received; what is spooled has sums of its own."""
    made = inbox_row_of(row)
    if made.damaged or not (made.spool or _as_received(made.raw, row[12])):
        raise MessageDamaged(f"the bytes of message {made.id} are not those that were received")
    return made


def unread(
    connection: SqlConnection, limit: int, now: datetime
) -> list[tuple[object, tuple[Any, ...]]]:
    """(number, row) of each: the addressed first, then the others, each oldest first."""
    names = {"now": micros(now), "limit": limit}
    addressed = [*connection.execute(queries.UNREAD_ADDRESSED, names)]
    others = [*connection.execute(queries.UNREAD_UNADDRESSED, names)]
    others += connection.execute(queries.UNREAD_PARKED, names)
    others.sort(key=lambda row: row[0])
    addressed = addressed[: limit - min(len(others), limit // UNADDRESSED_SHARE)]
    room = limit - len(addressed)
    found = (
        addressed + others[: min(room, max(limit // UNADDRESSED_SHARE, 1)) if addressed else room]
    )
    return [(row[0], row) for row in found]


def untaken(connection: SqlConnection, until: datetime) -> bool:
    oldest = (connection.execute(sql).get for sql in (queries.FIRST_UNTAKEN, queries.FIRST_TAKING))
    return any(at is not None and at <= micros(until) for at in oldest)


def inbox(
    connection: SqlConnection, state: InboxState | None, limit: int, before: InboxId | None
) -> list[InboxRow]:
    until = _HIGHEST if before is None else before
    if state is None:
        return _inbox_rows(connection, queries.INBOX_ALL, (until, limit))
    if state is InboxState.APPLIED:
        return _inbox_rows(connection, queries.INBOX_APPLIED, (until, limit))
    return _inbox_rows(connection, queries.INBOX_STATE, (state, until, limit))


def inbox_row(connection: SqlConnection, inbox_id: InboxId) -> InboxRow | None:
    return next(iter(_inbox_rows(connection, queries.INBOX_ROW, (inbox_id,))), None)


# ---------------------------------------------------------------- measurements


def measurements(
    connection: SqlConnection, device: DeviceId, limit: int
) -> list[InitialMeasurement]:
    """Those that end last come first."""
    found = connection.execute(queries.MEASUREMENTS, (device, limit))
    return [rows.decode_measurement(body) for (body,) in found]


# ---------------------------------------------------------------- audit, ledger, messages, outbox


def audit(
    connection: SqlConnection, subject: str | None, after: int, limit: int
) -> list[AuditEntry]:
    if subject is None:
        found = connection.execute(queries.AUDIT_ALL, (after, limit))
    else:
        values = {"subject": subject, "after": after, "limit": limit}
        found = connection.execute(queries.AUDIT_OF_SUBJECT, values)
    return [
        AuditEntry(
            seq=seq,
            at=moment(at),
            note=rows.decode_note(rows.whole_note(expanded(form, note, skeleton), about)),
            previous=_digest_before(connection, seq).hex(),
            digest=digest.hex(),
        )
        for seq, at, about, form, skeleton, note, digest in list(found)
    ]


def _digest_before(connection: SqlConnection, seq: int) -> bytes:
    digest: bytes | None = connection.execute(queries.AUDIT_DIGEST, (seq - 1,)).get
    return chain.ORIGIN if digest is None else digest


def audit_head(connection: SqlConnection) -> chain.Head:
    row = connection.execute(queries.AUDIT_HEAD).get
    return chain.Head() if row is None else chain.Head(seq=row[0], digest=row[1])


def verify(connection: SqlConnection, heads: Sequence[chain.Head]) -> int:
    """Whether the audit's chain is whole, and the ledger's counts are right; entries in the audit.
    Raises StoreFailed."""
    walk = connection.execute(queries.AUDIT_WALK)
    try:
        entries = chain.verify(_entries(walk), heads)
    finally:
        walk.close()  # left open at a break it would keep its snapshot, and the log from ending
    verify_links(connection)
    verify_ledger(connection)
    return entries


def _entries(walk: Rows) -> Iterator[tuple[int, int, bytes, bytes]]:
    for seq, at, subject, form, skeleton, note, digest in walk:
        short = expanded_or_damaged(form, note, skeleton)
        yield seq, at, rows.whole_note(short, subject), digest


def verify_links(connection: SqlConnection) -> None:
    """Raises StoreFailed where an entry of the audit is not found from its command."""
    broken = connection.execute(queries.BROKEN_LINK).get
    if broken is not None:
        raise StoreFailed(f"audit entry {broken} leads to no earlier one of its command")
    entries, links = (connection.execute(sql).get for sql in (queries.LINKED, queries.LINKS))
    if entries != links:
        raise StoreFailed("entries of the audit are not found from their commands")


def ledger(connection: SqlConnection) -> Ledger:
    counts: dict[str, dict[str, int]] = {}
    for what, key, count in connection.execute(queries.TALLY):
        counts.setdefault(what, {})[key] = count
    commands, inbox = counts.get("command", {}), counts.get("inbox", {})
    return Ledger(
        accepted=sum(commands.values()),
        commands_by_state=commands,
        received=sum(inbox.values()),
        inbox_by_state=inbox,
        callbacks=counts.get("callback", {}),
        communications_by_state=counts.get("send", {}),
        completion_events=counts.get("completion", {}),
        publications=counts.get("publication", {}).get("", 0),
    )


def verify_ledger(connection: SqlConnection) -> None:
    """Raises StoreFailed where the counts that are kept are not those of the rows."""
    kept, counted = ([*connection.execute(sql)] for sql in (queries.TALLY, queries.COUNT))
    if kept != counted:
        wrong = ", ".join(" ".join(map(str, row[:2])) for row in {*kept} ^ {*counted})
        raise StoreFailed(f"the counts that are kept are not those of the rows: {wrong}")


def messages(connection: SqlConnection, command: CommandId) -> list[Logged]:
    found = connection.execute(queries.MESSAGES, {"command": command})
    return sorted((each for row in found for each in _logged(*row)), key=lambda each: each.at)


def _logged(
    communication: CommunicationId,
    at: int,
    took: int,
    operation: str,
    status: int,
    request: int | None,
    form: int,
    skeleton: bytes | None,
    stored: bytes,
) -> Iterator[Logged]:
    """Both messages of a call, `request` bytes and the rest; without it, a callback."""
    body = expanded_or_damaged(form, stored, skeleton)
    told = Logged(
        communication=communication,
        at=moment(at + took),
        outbound=False,
        operation=operation,
        status=status,
        body=masked(body[request or 0 :]),
    )
    if request is not None:
        yield replace(told, at=moment(at), outbound=True, status=0, body=masked(body[:request]))
    yield told


def outbox(
    connection: SqlConnection, sink: str, after: int, limit: int, now: datetime
) -> list[tuple[object, tuple[Any, ...]]]:
    """(key, row) of each; `publication` reads the rows."""
    named = {"sink": sink, "after": after, "limit": limit, "now": micros(now)}
    found = connection.execute(queries.OUTBOX, named)
    return [(f"{row[0]}/{sink}", row) for row in found]


def publications(
    connection: SqlConnection, sink: str, numbers: Sequence[int]
) -> list[tuple[object, tuple[Any, ...]]]:
    """The same, of those numbers that are there."""
    found = connection.execute(queries.PUBLICATIONS, (encode(numbers).decode(),))
    return [(f"{row[0]}/{sink}", row) for row in found]


def publication(row: tuple[Any, ...]) -> PublicationRow:
    seq, at, form, body = row
    publication = rows.decode_publication(expanded(form, body))
    return PublicationRow(seq=seq, at=moment(at), publication=publication)


# ---------------------------------------------------------------- registry


def views(connection: SqlConnection, devices: Iterable[DeviceId]) -> dict[DeviceId, DeviceView]:
    """The devices that exist, in the order asked for."""
    found = connection.execute(queries.VIEWS, (rows.as_list(dict.fromkeys(devices)),))
    return {device: _view(*bodies) for device, *bodies in found}


def _view(device: bytes, install: bytes | None, point: bytes | None) -> DeviceView:
    return DeviceView(
        device=rows.decode_device(device),
        installed=None if install is None else rows.decode_install(install),
        service_point=None if point is None else rows.decode_service_point(point),
    )


def at_endpoints(
    connection: SqlConnection, endpoints: Sequence[EndpointId]
) -> dict[EndpointId, Sequence[DeviceView]]:
    keys = {each: endpoint_key(each) for each in endpoints}
    held: dict[str, list[DeviceView]] = {}
    for key, *bodies in connection.execute(
        queries.VIEWS_AT, (rows.as_list(dict.fromkeys(keys.values())),)
    ):
        view = _view(*bodies)
        if view.in_use:
            held.setdefault(key, []).append(view)
    return {each: held.get(key, []) for each, key in keys.items()}


def in_use(connection: SqlConnection, key: str) -> list[DeviceView]:
    found = connection.execute(queries.VIEWS_AT, (rows.as_list([key]),))
    return [view for view in (_view(*bodies) for _, *bodies in found) if view.in_use]


def shared_endpoints(connection: SqlConnection) -> dict[EndpointId, Sequence[DeviceView]]:
    found: dict[EndpointId, Sequence[DeviceView]] = {}
    for (key,) in list(connection.execute(queries.SHARED_ENDPOINTS)):
        devices = in_use(connection, key)
        if len(devices) > 1 and devices[0].device.endpoint is not None:
            found[devices[0].device.endpoint] = devices
    return found


def members(connection: SqlConnection, group: str) -> list[DeviceId]:
    return [device for (device,) in connection.execute(queries.MEMBERS, (group,))]


def devices(connection: SqlConnection, after: DeviceId | None, limit: int) -> list[DeviceView]:
    ids = [row[0] for row in connection.execute(queries.DEVICES_AFTER, (after or "", limit))]
    return list(views(connection, ids).values())
