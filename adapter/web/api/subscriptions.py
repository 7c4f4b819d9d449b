"""Routes of subscriptions and silence."""

from datetime import datetime

from msgspec import Struct

from adapter.engine.subscriptions.subscriptions import Silence, SubscriptionState
from adapter.subscriptions.reconcile import SubscriptionKind
from adapter.web.api.call import (
    ApiContext,
    ApiRequest,
    ApiResponse,
    answer_from,
)


class SubscriptionOut(Struct, kw_only=True):
    """As the last check found it; `since` is since when it is healthy, or not."""

    kind: SubscriptionKind
    address: str
    healthy: bool
    detail: str
    checked_at: datetime
    since: datetime

    @classmethod
    def of(cls, state: SubscriptionState) -> "SubscriptionOut":
        return answer_from(cls, state)


class SubscriptionsOut(Struct, kw_only=True):
    """`last_arrival` of data, events or exceptions; `allowed_s` is how long a silence is usual,
    null where too little is known; `alarm_since` is when it was found to be longer."""

    items: list[SubscriptionOut]
    last_arrival: datetime | None
    allowed_s: float | None
    alarm_since: datetime | None

    @classmethod
    def of(cls, states: list[SubscriptionOut], silence: Silence) -> "SubscriptionsOut":
        return cls(
            items=states,
            last_arrival=silence.last,
            allowed_s=silence.allowed_s,
            alarm_since=silence.alarm,
        )


# ---------------------------------------------------------------- the routes


async def list_subscriptions(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    subscriptions = api.gateway.subscriptions
    states = [SubscriptionOut.of(item) for item in await subscriptions.states()]
    return ApiResponse(body=SubscriptionsOut.of(states, await subscriptions.silence()))


async def check_subscriptions(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """Ask the head end now."""
    await api.gateway.subscriptions.check()
    return await list_subscriptions(api, asked)
