"""The routes of subscriptions, each a few lines over `Subscriptions`."""

from adapter.web.api import subscriptions as schema
from adapter.web.api.call import Answered, Api, Asked


async def list_subscriptions(api: Api, asked: Asked) -> Answered:
    subscriptions = api.beside.kept_subscriptions
    states = [schema.SubscriptionOut.of(item) for item in await subscriptions.states()]
    return Answered(body=schema.SubscriptionsOut.of(states, await subscriptions.silence()))


async def check_subscriptions(api: Api, asked: Asked) -> Answered:
    """Ask the head end now."""
    await api.beside.kept_subscriptions.check()
    return await list_subscriptions(api, asked)
