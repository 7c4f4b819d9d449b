"""Routes of single messages of the head end, of error records and of the tables in force."""

import base64
from datetime import datetime

from msgspec import Struct

from adapter.commands.business_objects import inbound_object
from adapter.engine.commands.ports import InboxRow, InboxState
from adapter.engine.readings.ports import (
    Counts,
    ErrorRecord,
    Excerpt,
    PayloadId,
    TablesInForce,
)
from adapter.errors import SettingsError
from adapter.model.ids import InboxId
from adapter.web.api.call import (
    ApiContext,
    ApiRequest,
    ApiResponse,
    NothingIn,
    ReasonIn,
    answer_from,
    limit_of,
    member,
    moment_of,
    row_of,
    wait_of,
    whole_of,
)
from adapter.web.api.problems import ProblemRaised

# ---------------------------------------------------------------- what is given


class InboxItem(Struct, kw_only=True):
    """A message from the head end. `business_object` is the source's name of the inbound
    communication that it makes; null: it makes none. `bytes` is how much of it is kept; `damaged`:
    they are not those that were received. `times`: of wrong credentials from one address the first
    message is kept, and the others are counted, the last of them `last_at`."""

    id: int
    operation: str
    business_object: str | None
    at: datetime
    communication: str | None
    remote_address: str
    state: InboxState
    reason: str
    bytes: int
    damaged: bool
    command: str | None
    token: str | None
    times: int
    last_at: datetime | None

    @classmethod
    def of(cls, row: InboxRow) -> "InboxItem":
        return answer_from(
            cls,
            row,
            business_object=inbound_object(row.operation),
            remote_address=row.remote,
            bytes=row.spool_bytes or len(row.raw),
        )


class InboxPage(Struct, kw_only=True):
    items: list[InboxItem]
    next: str | None


class InboxMessage(Struct, kw_only=True):
    """With the bytes as they came, and as text for people; of a large one its head (`complete` is
    false). `position` is the byte at which it could not be read on, counted in UTF-8; `excerpt` is
    what stands about it, from the byte `excerpt_from` on. `removed`: the body is no longer kept."""

    message: InboxItem
    size: int | None
    complete: bool
    removed: bool
    position: int | None
    excerpt: str
    excerpt_from: int
    text: str
    raw_base64: str

    @classmethod
    def of(cls, row: InboxRow, found: Excerpt) -> "InboxMessage":
        return answer_from(
            cls,
            found,
            message=InboxItem.of(row),
            excerpt=_shown(found.excerpt),
            text=_shown(found.head),
            raw_base64=base64.b64encode(found.head).decode(),
        )


class IntakeErrorOut(Struct, kw_only=True):
    """What gave no measurement: where it stood in its payload, and why. `text` is the XML of a part
    that was not understood, or the value as JSON; it may be cut."""

    id: int
    payload: int
    part: int
    position: int
    endpoint: str
    reason: str
    detail: str
    text: str

    @classmethod
    def of(cls, record: ErrorRecord) -> "IntakeErrorOut":
        return answer_from(cls, record, text=_shown(record.body[:4096]))


class IntakeErrorPage(Struct, kw_only=True):
    items: list[IntakeErrorOut]
    next: str | None


class IntakeReprocessed(Struct, kw_only=True):
    """`values` and `events` were made of error records, `still_open` records stay."""

    values: int
    events: int
    still_open: int

    @classmethod
    def of(cls, counts: Counts) -> "IntakeReprocessed":
        return cls(
            values=counts.new + counts.revised,
            events=counts.events,
            still_open=counts.errors + counts.bad_parts,
        )


class TablesOut(Struct, kw_only=True):
    """Rows of the tables in force."""

    quantities: int
    conditions: int
    events: int
    storm_rules: int
    since: datetime

    @classmethod
    def of(cls, tables: TablesInForce) -> "TablesOut":
        return answer_from(cls, tables)


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


# ---------------------------------------------------------------- the routes


async def list_inbox(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    before = InboxId(whole_of(asked, "cursor")) if "cursor" in asked.query else None
    state, since = member(asked, "state", InboxState), moment_of(asked, "since")
    found = await api.gateway.inbox.list(state=state, limit=limit, before=before)
    late = [row for row in found if since is None or row.at >= since]
    return ApiResponse(
        body=InboxPage(
            items=[InboxItem.of(row) for row in late],
            next=str(found[-1].id) if len(late) == limit else None,
        )
    )


async def get_message(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    row = await api.gateway.inbox.get(_inbox(asked))
    found = await api.gateway.readings.error_records.excerpt(row)
    return ApiResponse(body=InboxMessage.of(row, found))


async def retry_message(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """Answers once it was judged, with what became of it, or after `wait` seconds."""
    inbox, wait_s = _inbox(asked), wait_of(api, asked)
    await api.gateway.inbox.retry(inbox, by=asked.actor)
    await api.gateway.inbox.judged(inbox, timeout_s=wait_s)
    return await get_message(api, asked)


async def discard_message(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    await api.gateway.inbox.discard(_inbox(asked), by=asked.actor)
    return await get_message(api, asked)


async def list_intake_errors(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    after = whole_of(asked, "cursor") if "cursor" in asked.query else 0
    payload = PayloadId(whole_of(asked, "payload")) if "payload" in asked.query else None
    found = await api.gateway.readings.error_records.errors(
        payload=payload, after=after, limit=limit
    )
    return ApiResponse(
        body=IntakeErrorPage(
            items=[IntakeErrorOut.of(record) for record in found],
            next=str(found[-1].id) if len(found) == limit else None,
        )
    )


async def retry_intake_errors(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    try:
        counts = await api.gateway.readings.error_records.reprocess()
    except SettingsError as error:
        raise _bad_tables(error) from error
    return ApiResponse(body=IntakeReprocessed.of(counts))


async def discard_intake_error(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    error, reason = row_of(asked, "error", "error record"), asked.read(ReasonIn).reason
    await api.gateway.readings.error_records.discard(error, by=asked.actor, reason=reason)
    return ApiResponse(body=NothingIn())


async def reload_tables(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    try:
        tables = await api.gateway.readings.error_records.reload(by=asked.actor)
    except SettingsError as error:
        raise _bad_tables(error) from error
    return ApiResponse(body=TablesOut.of(tables))


def _bad_tables(error: SettingsError) -> ProblemRaised:
    """Those in force stay."""
    return ProblemRaised(409, "bad_tables", str(error))


def _inbox(asked: ApiRequest) -> InboxId:
    return InboxId(row_of(asked, "message", "message"))
