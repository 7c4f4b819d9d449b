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
class Page:
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
    Page(path="", title="Now", section="Now", template="now.html", load=now.load),
    Page(path="/waits", title="What waits for people", section="Waits", template="waits.html",
         load=waits.load, query=("subject",)),
    Page(path="/waits/{entry}", title="What waits", section="Waits", template="wait.html",
         load=waits.load_entry),
    Page(path="/switching", title="Switching", section="Now", template="switching.html",
         load=switching.load),
    Page(path="/commands", title="Commands", section="Commands", template="commands.html",
         load=commands.load_list, query=commands.QUERY),
    Page(path="/commands/{command}", title="Command", section="Commands", template="command.html",
         load=commands.load),
    Page(path="/commands/{command}/messages/{number}", title="Message", section="Commands",
         template="command_message.html", load=commands.load_message, live=False),
    Page(path="/orders", title="Orders", section="Orders", template="orders.html",
         load=orders.load_list, query=orders.QUERY),
    Page(path="/orders/{order}", title="Order", section="Orders", template="order.html",
         load=orders.load),
    Page(path="/meters", title="Meters", section="Meters", template="meters.html",
         load=meter.load_list, query=("device", "cursor"), live=False),
    Page(path="/meters/{device}", title="Meter", section="Meters", template="meter.html",
         load=meter.load, query=meter.QUERY),
    Page(path="/head-end", title="Head end", section="Head end", template="head_end.html",
         load=head_end.load, query=head_end.QUERY),
    Page(path="/completeness", title="Completeness", section="Completeness",
         template="completeness.html", load=completeness.load, live=False,
         query=completeness.QUERY),
    Page(path="/inbox", title="Inbox", section="Inbox", template="inbox.html",
         load=intake.load_inbox, query=intake.INBOX_QUERY),
    Page(path="/inbox/{message}", title="Message of the head end", section="Inbox",
         template="inbox_message.html", load=intake.load_message),
    Page(path="/intake", title="Intake", section="Inbox", template="intake.html",
         load=intake.load, query=("payload", "cursor")),
    Page(path="/deliveries", title="Deliveries", section="Deliveries", template="deliveries.html",
         load=deliveries.load),
    Page(path="/deliveries/{receiver}", title="Receiver", section="Deliveries",
         template="receiver.html", load=deliveries.load_receiver, query=("dead", "cursor")),
    Page(path="/schedules", title="Schedules", section="Schedules", template="schedules.html",
         load=schedules.load_list, query=("state", "cursor")),
    Page(path="/schedules/{schedule}", title="Schedule", section="Schedules",
         template="schedule.html", load=schedules.load, query=("cursor",)),
    Page(path="/audit", title="Audit", section="Audit", template="audit.html",
         load=settings.load_audit, query=("cursor",), live=False),
    Page(path="/settings", title="Upkeep", section="Audit", template="settings.html",
         load=settings.load),
    Page(path="/keys", title="API keys", section="Audit", template="keys.html",
         load=settings.load_keys, roles=(Role.ADMIN,)),
)
NAVIGATION: Final = (
    Section("Now", ""),
    Section("Waits", "/waits"),
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
