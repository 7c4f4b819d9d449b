"""What goes out: the systems that events are posted to, and what they have not taken."""

from collections.abc import Mapping

from adapter.web.api import feed
from adapter.web.console.view import PageView


async def load(view: PageView) -> Mapping[str, object]:
    found = await view.read(feed.ReceiverList, feed.list_receivers)
    return {"receivers": found.items}


async def load_receiver(view: PageView) -> Mapping[str, object]:
    found = await view.read(feed.ReceiverList, feed.list_receivers)
    page = await view.read(feed.DeliveryPage, feed.list_deliveries, {"limit": "50", **view.query})
    name = view.path["receiver"]
    return {
        "receiver": next(each for each in found.items if each.name == name),
        "list": page,
    }
