"""The routes of single messages, error records and tables, each a few lines over the desk."""

from adapter.engine.readings.ports import PayloadId
from adapter.errors import SettingsError
from adapter.model.ids import InboxId
from adapter.web.api import quarantine as schema
from adapter.web.api.call import (
    ApiContext,
    ApiRequest,
    ApiResponse,
    limit_of,
    row_of,
    seconds_of,
    whole_of,
)
from adapter.web.api.problems import ProblemRaised
from adapter.web.api.schema import NothingIn, ReasonIn


async def get_inbound(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    row = await api.gateway.inbox.get(_inbox(asked))
    found = await api.gateway.readings.error_records.excerpt(row)
    return ApiResponse(body=schema.InboxMessage.of(row, found))


async def retry_inbound(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """Answers once it was judged, with what became of it, or after `wait` seconds."""
    inbox, wait_s = _inbox(asked), seconds_of(asked, "wait")
    await api.gateway.inbox.retry(inbox, by=asked.actor)
    await api.gateway.inbox.judged(inbox, timeout_s=min(wait_s, api.settings.longest_wait_s))
    return await get_inbound(api, asked)


async def discard_inbound(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    await api.gateway.inbox.discard(_inbox(asked), by=asked.actor)
    return await get_inbound(api, asked)


async def list_intake_errors(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    after = whole_of(asked, "cursor") if "cursor" in asked.query else 0
    payload = PayloadId(whole_of(asked, "payload")) if "payload" in asked.query else None
    found = await api.gateway.readings.error_records.errors(
        payload=payload, after=after, limit=limit
    )
    return ApiResponse(
        body=schema.IntakeErrorPage(
            items=[schema.IntakeErrorOut.of(record) for record in found],
            next=str(found[-1].id) if len(found) == limit else None,
        )
    )


async def reprocess_intake(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    try:
        counts = await api.gateway.readings.error_records.reprocess()
    except SettingsError as error:
        raise _bad_tables(error) from error
    return ApiResponse(body=schema.IntakeReprocessed.of(counts))


async def discard_intake_error(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    error, reason = row_of(asked, "error", "error record"), asked.read(ReasonIn).reason
    await api.gateway.readings.error_records.discard(error, by=asked.actor, reason=reason)
    return ApiResponse(body=NothingIn())


async def reload_tables(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    try:
        tables = await api.gateway.readings.error_records.reload(by=asked.actor)
    except SettingsError as error:
        raise _bad_tables(error) from error
    return ApiResponse(body=schema.TablesOut.of(tables))


def _bad_tables(error: SettingsError) -> ProblemRaised:
    """Those in force stay."""
    return ProblemRaised(409, "bad_tables", str(error))


def _inbox(asked: ApiRequest) -> InboxId:
    return InboxId(row_of(asked, "inbound", "inbound message"))
