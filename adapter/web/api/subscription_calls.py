"""The routes of subscriptions, each a few lines over `Subscriptions`."""

from adapter.web.api import subscriptions as schema
from adapter.web.api.call import ApiContext, ApiRequest, ApiResponse


async def list_subscriptions(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    subscriptions = api.gateway.subscriptions
    states = [schema.SubscriptionOut.of(item) for item in await subscriptions.states()]
    return ApiResponse(body=schema.SubscriptionsOut.of(states, await subscriptions.silence()))


async def check_subscriptions(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """Ask the head end now."""
    await api.gateway.subscriptions.check()
    return await list_subscriptions(api, asked)
