"""The routes of what is set aside, each a few lines over `SetAside`."""

from typing import Final

from adapter.engine.upkeep.set_aside import FailedState, RowKind
from adapter.server.settings import Role
from adapter.web.api import set_aside as schema
from adapter.web.api.call import (
    ApiContext,
    ApiRequest,
    ApiResponse,
    limit_of,
    member,
    require,
    row_of,
    whole_of,
)
from adapter.web.api.schema import ReasonIn

_MOVES_SWITCHES: Final = frozenset({RowKind.COMMAND, RowKind.COMMUNICATION, RowKind.ORDER})


async def list_set_aside(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """What is set aside; with `state` those that wait for their next try, or were discarded."""
    limit = limit_of(asked)
    rows = await api.gateway.upkeep.set_aside.rows(
        state=member(asked, "state", FailedState) or FailedState.SET_ASIDE,
        kind=member(asked, "kind", RowKind),
        after=whole_of(asked, "cursor") if "cursor" in asked.query else 0,
        limit=limit,
    )
    return ApiResponse(body=schema.FailedRowPage.of(rows, limit))


async def get_set_aside(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return ApiResponse(
        body=schema.FailedRowOut.of(await api.gateway.upkeep.set_aside.row(_number(asked)))
    )


async def retry_set_aside(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    await _require(api, asked)
    reason = asked.read(ReasonIn).reason
    row = await api.gateway.upkeep.set_aside.retry(_number(asked), by=asked.actor, reason=reason)
    return ApiResponse(body=schema.FailedRowOut.of(row))


async def discard_set_aside(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    await _require(api, asked)
    reason = asked.read(ReasonIn).reason
    row = await api.gateway.upkeep.set_aside.discard(_number(asked), by=asked.actor, reason=reason)
    return ApiResponse(body=schema.FailedRowOut.of(row))


async def _require(api: ApiContext, asked: ApiRequest) -> None:
    """Who may retry or discard a command or an order may do so here; for the rest it is admin."""
    row = await api.gateway.upkeep.set_aside.row(_number(asked))
    require(asked.key, Role.SWITCH if row.kind in _MOVES_SWITCHES else Role.ADMIN)


def _number(asked: ApiRequest) -> int:
    return row_of(asked, "row", "row set aside")
