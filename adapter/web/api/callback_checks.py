"""Routes by which `openway doctor` finds out whether the callback address leads here."""

from datetime import datetime

from msgspec import Struct

from adapter.engine.upkeep.callback_checks import CallbackCheck
from adapter.web.api.call import ApiContext, ApiRequest, ApiResponse, answer_from


class CheckArrivalOut(Struct, kw_only=True):
    """`headers` are the names of those that came along. `authorized` null: the listener wants no
    user."""

    at: datetime
    remote: str
    headers: list[str]
    authorized: bool | None


class CallbackCheckOut(Struct, kw_only=True):
    """`url` is good for one POST until `ends_at`, and is answered `word`. `arrived` null: nobody
    has called it yet."""

    id: str
    url: str
    word: str
    ends_at: datetime
    arrived: CheckArrivalOut | None

    @classmethod
    def of(cls, check: CallbackCheck) -> "CallbackCheckOut":
        arrived = check.arrived
        return answer_from(
            cls,
            check,
            arrived=None
            if arrived is None
            else answer_from(CheckArrivalOut, arrived, headers=list(arrived.headers)),
        )


async def begin_callback_check(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """Nothing is stored, and nobody is called: who asks calls the address from outside."""
    return ApiResponse(body=CallbackCheckOut.of(api.gateway.upkeep.callback_checks.begin()))


async def get_callback_check(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    check = api.gateway.upkeep.callback_checks.get(asked.path["check"])
    return ApiResponse(body=CallbackCheckOut.of(check))
