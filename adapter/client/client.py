"""The client: commands, orders, the feed, what waits for people, devices."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, Self, TypeVar

import msgspec
from msgspec import structs

from adapter.client.calls import Calls, Query, segment
from adapter.commands.activity import State
from adapter.commands.flows import CommandKind
from adapter.model.device import DeviceView
from adapter.model.todo import TodoSubject
from adapter.model.values import replace
from adapter.orders.order import ERROR_STATES, OrderKind
from adapter.web.api.bulk import BulkIn, BulkOut, BulkRowOut, BulkRowPage
from adapter.web.api.call import NothingIn, ReasonIn
from adapter.web.api.commands import CommandIn, CommandOut, CommandPage, Outcomes
from adapter.web.api.feed import MOST_EVENTS, NEWEST, EventOut, EventPageOut
from adapter.web.api.orders import (
    CancelIn,
    OrderIn,
    OrderOut,
    OrderPage,
    OrderShownOut,
    RequestOut,
    slug,
)
from adapter.web.api.problems import LINES
from adapter.web.api.registry import DevicePage
from adapter.web.api.todo import TodoList, TodoShown

T = TypeVar("T")

_LOOK_S: Final = 20.0
"""How long one request waits at the API before the next one."""

_WAITS: Final = frozenset(slug(state) for state in ERROR_STATES)


class _Page(Protocol[T]):
    @property
    def items(self) -> list[T]: ...

    next: str | None


class GatewayClient:
    """Used as `async with GatewayClient(url, key) as gateway`; several tasks may share it. `url` is
    the API's root, without /api/v1; `second_key` is another person's.

    What cannot have been carried out twice is sent again for up to `patience_s` seconds, with
    growing waits: every look, and every submission, for it has a key. A key that is not given is
    made, and lasts for that call: a program that must know its command after its own death gives
    one. A cancel is sent again only where nothing of it had left.

    Raises ApiProblem, of the class that says what to do; Unreachable where no answer came in time.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        second_key: str | None = None,
        ca_file: Path | None = None,
        timeout_s: float = 30.0,
        patience_s: float = 60.0,
    ) -> None:
        self._calls = Calls(
            url,
            key,
            second_key=second_key,
            ca_file=ca_file,
            timeout_s=timeout_s,
            patience_s=patience_s,
        )

    async def __aenter__(self) -> Self:
        await self._calls.open()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._calls.close()

    # ------------------------------------------------------------ commands

    async def submit_command(self, command: CommandIn) -> CommandOut:
        """The same idempotency key gives the same command, for ever."""
        if command.idempotency_key is None:
            command = replace(command, idempotency_key=_made_key())
        return await self._calls.post(CommandOut, "/commands", command, repeatable=True)

    async def get_command(self, command: str) -> CommandOut:
        return await self._calls.get(CommandOut, f"/commands/{segment(command)}")

    async def wait_command(self, command: str, *, timeout_s: float) -> CommandOut:
        """The command when it is final or needs a person, or as it is after so many seconds."""
        path, ends = f"/commands/{segment(command)}", _now() + timeout_s
        while True:
            wait_s = _look_s(ends)
            found = await self._calls.get(CommandOut, path, {"wait": wait_s})
            if State(found.state).rests or _now() >= ends:
                return found

    def list_commands(
        self,
        *,
        kind: CommandKind | None = None,
        state: State | None = None,
        device: str | None = None,
        open: bool | None = None,
        since: datetime | None = None,
        updated: datetime | None = None,
        requester: str | None = None,
        reference: str | None = None,
    ) -> AsyncIterator[CommandOut]:
        """Newest first, page by page, as far as it is read. `since` is when it was made, `updated`
        when it last changed: then or later."""
        query = {
            "kind": kind,
            "state": state,
            "device": device,
            "open": open,
            "since": since,
            "updated": updated,
            "requester": requester,
            "reference": reference,
        }
        return self._pages(CommandPage, "/commands", query)

    async def cancel_command(self, command: str, *, reason: str = "") -> CommandOut:
        body = ReasonIn(reason=reason)
        return await self._calls.post(CommandOut, f"/commands/{segment(command)}/cancel", body)

    async def get_command_outcomes(self, command: str) -> Outcomes:
        return await self._calls.get(Outcomes, f"/commands/{segment(command)}/outcomes")

    async def submit_bulk(self, header: BulkIn, rows: Iterable[Mapping[str, object]]) -> BulkOut:
        """Many commands of one kind, all or none: each row has `device` or `devices`, and what it
        has of its own. The same key gives the same bulk request. Raises BadRequest, whose `faults`
        name line and field of each row that is refused; the first row is line 2."""
        if header.idempotency_key is None:
            header = replace(header, idempotency_key=_made_key())
        shared = {name: each for name, each in structs.asdict(header).items() if each != []}
        body = msgspec.json.Encoder().encode_lines([shared, *rows])
        return await self._calls.post(BulkOut, "/commands/bulk", body, repeatable=True, media=LINES)

    async def get_bulk(self, bulk: str) -> BulkOut:
        return await self._calls.get(BulkOut, f"/commands/bulk/{segment(bulk)}")

    def list_bulk_rows(self, bulk: str) -> AsyncIterator[BulkRowOut]:
        return self._pages(BulkRowPage, f"/commands/bulk/{segment(bulk)}/rows", {})

    # ------------------------------------------------------------ orders

    async def submit_order(self, order: OrderIn) -> OrderOut:
        """The same reference gives the same order, for ever."""
        return await self._calls.post(OrderOut, "/orders", order, repeatable=True)

    async def get_order(self, order: str) -> OrderShownOut:
        return await self._calls.get(OrderShownOut, f"/orders/{segment(order)}")

    async def wait_order(self, order: str, *, timeout_s: float) -> OrderShownOut:
        """The order when it is final or needs a person, or as it is after so many seconds."""
        path, ends = f"/orders/{segment(order)}", _now() + timeout_s
        while True:
            wait_s = _look_s(ends)
            found = await self._calls.get(OrderShownOut, path, {"wait": wait_s})
            if found.order.final or found.order.state in _WAITS or _now() >= ends:
                return found

    def list_orders(
        self,
        *,
        kind: OrderKind | None = None,
        state: str | None = None,
        service_point: str | None = None,
        open: bool | None = None,
        since: datetime | None = None,
        updated: datetime | None = None,
        requester: str | None = None,
        reference: str | None = None,
    ) -> AsyncIterator[OrderOut]:
        """As `list_commands`."""
        query = {
            "kind": kind,
            "state": state,
            "service_point": service_point,
            "open": open,
            "since": since,
            "updated": updated,
            "requester": requester,
            "reference": reference,
        }
        return self._pages(OrderPage, "/orders", query)

    async def cancel_order(
        self, order: str, *, reason: str = "", reference: str | None = None
    ) -> RequestOut:
        """Asks for it; the request that is answered tells what became of it. A repeated reference
        is answered by the first one's request; without one a new one is made."""
        body = CancelIn(reason=reason, reference=reference or _made_key())
        path = f"/orders/{segment(order)}/cancel"
        return await self._calls.post(RequestOut, path, body, repeatable=True)

    # ------------------------------------------------------------ the feed

    async def event_pages(
        self,
        after: str | None = None,
        *,
        types: Iterable[str] = (),
        subject: str | None = None,
        limit: int = MOST_EVENTS,
    ) -> AsyncIterator[EventPageOut]:
        """Pages of events as they come, oldest first, without an end. `next` of a page is the
        `after` with which a later run goes on behind it; `newest`: only what comes from now on. A
        page may be empty, where only its `next` is news.

        A break is waited out, however long it lasts. Raises NoSuchThing where the events behind
        `after` are no longer kept, StateForbids where the store is an older one than gave it.
        """
        query = {"types": ",".join(types) or None, "subject": subject, "limit": limit}
        wait_s = 0.0 if after == NEWEST else _LOOK_S
        while True:
            wanted = {**query, "after": after, "wait": wait_s}
            page = await self._calls.get(EventPageOut, "/events", wanted, for_ever=True)
            wait_s = _LOOK_S
            if page.next != after:
                after = page.next
                yield page

    async def events(
        self, after: str | None = None, *, types: Iterable[str] = (), subject: str | None = None
    ) -> AsyncIterator[EventOut]:
        """The events of `event_pages` one by one, for who keeps no place in the feed."""
        async for page in self.event_pages(after, types=types, subject=subject):
            for event in page.items:
                yield event

    # ------------------------------------------------------------ what waits for people

    async def list_todo(self, *, subject: TodoSubject | None = None, limit: int = 50) -> TodoList:
        return await self._calls.get(TodoList, "/todo", {"subject": subject, "limit": limit})

    async def get_todo(self, entry: str) -> TodoShown:
        return await self._calls.get(TodoShown, f"/todo/{segment(entry)}")

    async def claim_todo(self, entry: str) -> TodoShown:
        return await self._calls.post(TodoShown, f"/todo/{segment(entry)}/claim", NothingIn())

    async def unclaim_todo(self, entry: str) -> TodoShown:
        return await self._calls.post(TodoShown, f"/todo/{segment(entry)}/unclaim", NothingIn())

    # ------------------------------------------------------------ devices

    async def get_device(self, device: str) -> DeviceView:
        return await self._calls.get(DeviceView, f"/devices/{segment(device)}")

    def list_devices(self) -> AsyncIterator[DeviceView]:
        return self._pages(DevicePage, "/devices", {})

    # ------------------------------------------------------------ what they share

    async def _pages(self, kind: type[_Page[T]], path: str, query: Query) -> AsyncIterator[T]:
        cursor: str | None = None
        while True:
            page = await self._calls.get(kind, path, {**query, "cursor": cursor})
            for item in page.items:
                yield item
            cursor = page.next
            if cursor is None:
                return


def _made_key() -> str:
    return f"client-{secrets.token_hex(12)}"


def _look_s(ends: float) -> float:
    """How long the next request waits at the API, of what is left."""
    return round(min(max(ends - _now(), 0.0), _LOOK_S), 3)


def _now() -> float:
    return asyncio.get_running_loop().time()
