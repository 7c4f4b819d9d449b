"""THE TABLE of pages: address, template, and the function that loads what it shows."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from adapter.server.settings import Role
from adapter.web.api.routes import ANY
from adapter.web.console import (
    commands,
    completeness,
    deliveries,
    head_end,
    intake,
    meter,
    now,
    orders,
    schedules,
    settings,
    switching,
    waits,
)
from adapter.web.console.view import PageView


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRow:
    """`path` is below /console. `load` gives what the template shows; for a live page it is called
    again and again, once for all who look, so that it must not depend on who they are.
    `section` is the entry of the navigation that it belongs to, `query` its filters."""

    path: str
    title: str
    section: str
    template: str
    load: Callable[[PageView], Awaitable[Mapping[str, object]]]
    query: tuple[str, ...] = ()
    roles: tuple[Role, ...] = ANY
    live: bool = True


@dataclass(frozen=True, slots=True)
class Section:
    """An entry of the navigation."""

    name: str
    path: str


# fmt: off
PAGES: Final = (
    PageRow(path="", title="Now", section="Now", template="now.html", load=now.load),
    PageRow(path="/waits", title="What waits for people", section="Waits", template="waits.html",
            load=waits.load, query=("subject",)),
    PageRow(path="/waits/{entry}", title="What waits", section="Waits", template="wait.html",
            load=waits.load_entry),
    PageRow(path="/switching", title="Switching", section="Switching", template="switching.html",
            load=switching.load),
    PageRow(path="/commands", title="Commands", section="Commands", template="commands.html",
            load=commands.load_list, query=commands.QUERY),
    PageRow(path="/commands/{command}", title="Command", section="Commands",
            template="command.html", load=commands.load),
    PageRow(path="/commands/{command}/messages/{number}", title="Message", section="Commands",
            template="command_message.html", load=commands.load_message, live=False),
    PageRow(path="/orders", title="Orders", section="Orders", template="orders.html",
            load=orders.load_list, query=orders.QUERY),
    PageRow(path="/orders/{order}", title="Order", section="Orders", template="order.html",
            load=orders.load),
    PageRow(path="/meters", title="Meters", section="Meters", template="meters.html",
            load=meter.load_list, query=("device", "cursor"), live=False),
    PageRow(path="/meters/{device}", title="Meter", section="Meters", template="meter.html",
            load=meter.load, query=meter.QUERY),
    PageRow(path="/head-end", title="Head end", section="Head end", template="head_end.html",
            load=head_end.load, query=head_end.QUERY),
    PageRow(path="/completeness", title="Completeness", section="Completeness",
            template="completeness.html", load=completeness.load, live=False,
            query=completeness.QUERY),
    PageRow(path="/inbox", title="Inbox", section="Inbox", template="inbox.html",
            load=intake.load_inbox, query=intake.INBOX_QUERY),
    PageRow(path="/inbox/{message}", title="Message of the head end", section="Inbox",
            template="inbox_message.html", load=intake.load_message),
    PageRow(path="/intake", title="Intake", section="Inbox", template="intake.html",
            load=intake.load, query=("payload", "cursor")),
    PageRow(path="/deliveries", title="Deliveries", section="Deliveries",
            template="deliveries.html", load=deliveries.load),
    PageRow(path="/deliveries/{receiver}", title="Receiver", section="Deliveries",
            template="receiver.html", load=deliveries.load_receiver, query=("dead", "cursor")),
    PageRow(path="/schedules", title="Schedules", section="Schedules", template="schedules.html",
            load=schedules.load_list, query=("state", "cursor")),
    PageRow(path="/schedules/{schedule}", title="Schedule", section="Schedules",
            template="schedule.html", load=schedules.load, query=("cursor",)),
    PageRow(path="/audit", title="Audit", section="Audit", template="audit.html",
            load=settings.load_audit, query=("cursor",), live=False),
    PageRow(path="/settings", title="Upkeep", section="Audit", template="settings.html",
            load=settings.load),
    PageRow(path="/keys", title="API keys", section="Audit", template="keys.html",
            load=settings.load_keys, roles=(Role.ADMIN,)),
)
NAVIGATION: Final = (
    Section("Now", ""),
    Section("Waits", "/waits"),
    Section("Switching", "/switching"),
    Section("Commands", "/commands"),
    Section("Orders", "/orders"),
    Section("Meters", "/meters"),
    Section("Head end", "/head-end"),
    Section("Completeness", "/completeness"),
    Section("Inbox", "/inbox"),
    Section("Deliveries", "/deliveries"),
    Section("Schedules", "/schedules"),
    Section("Audit", "/audit"),
)
# fmt: on
