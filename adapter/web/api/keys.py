"""Routes of API keys: which are in force, when each was used last, and their end."""

from datetime import datetime

from msgspec import Struct

from adapter.errors import Conflict
from adapter.server.settings import Role
from adapter.web.api.call import ApiContext, ApiRequest, ApiResponse, ReasonIn, answer_from


class KeyOut(Struct, kw_only=True):
    """`id` is public: a token that the gateway made begins with `owk_` and it. `last_used_at` is
    null where the key was not used since the gateway was started; `in_clear`: its file has the
    token itself, and not its digest."""

    id: str
    name: str
    roles: list[Role]
    created_at: datetime | None
    expires_at: datetime | None
    last_used_at: datetime | None
    in_clear: bool


class KeyList(Struct, kw_only=True):
    """In the order of the file."""

    items: list[KeyOut]
    problem: str


async def list_keys(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    items = [
        answer_from(
            KeyOut,
            key,
            roles=[role for role in Role if role in key.roles],
            last_used_at=api.keys.last_used(key),
        )
        for key in api.keys.all()
    ]
    problem = "" if api.key_file is None else api.key_file.problem
    return ApiResponse(body=KeyList(items=items, problem=problem))


async def withdraw_key(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """It is refused from now on; its long polls and streams end. Answers with what is left."""
    if api.key_file is None:
        api.keys.called(asked.path["key"])
        raise Conflict("the keys are of no file")
    reason = asked.read(ReasonIn).reason
    await api.key_file.withdraw(asked.path["key"], by=asked.actor, reason=reason)
    return await list_keys(api, asked)
