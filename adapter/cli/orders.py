"""`openway order`: service orders of a running gateway."""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

import click

from adapter.cli.client import Json, fields, items, segment
from adapter.cli.numbers import WholeNumber
from adapter.cli.orders_output import print_order, print_plan, print_shown
from adapter.cli.output import (
    Exit,
    as_json,
    asked,
    columns,
    each_of,
    paged,
    print_json,
    print_rows,
    say,
    show_each,
    show_fields,
    show_list,
)
from adapter.cli.session import Session, with_session
from adapter.cli.times import MOMENT, SECONDS
from adapter.cli.words import Word
from adapter.errors import InvalidRequest
from adapter.orders.lifecycle import PRIORITIES
from adapter.orders.order import OrderKind, OrderState

_KINDS: Final = Word([kind.value for kind in OrderKind])
_STATES: Final = Word([state.name.lower() for state in OrderState])
_UNSEEN: Final = frozenset({"pending", "validate"})
_FIRST_LOOK_S: Final = 2.0
_FIRST_WAIT_S: Final = 0.05
_LOOK_S: Final = 20.0
"""How long one request waits at the API before the next one, and the first one."""

_TROUBLED: Final = frozenset({"validation_error", "activity_error", "discarded"})
ORDERS: Final = columns(
    "order", "id kind service_point state children reference", ("created", "created_at")
)
PAID: Final = columns("order", "id state stop_reason")
_SEVERAL = click.argument("orders", metavar="ORDER...", nargs=-1, required=True)
_ELEMENT = click.option(
    "--field",
    "elements",
    multiple=True,
    metavar="NAME=VALUE",
    help="An element; as often as wanted.",
)


@click.group()
def order() -> None:
    """Submit service orders to a running gateway, look at them, decide about them."""


@order.command()
@click.argument("kind", type=_KINDS, metavar="KIND")
@click.argument("service_point")
@click.option("--reference", required=True, help="Your own: the same one gives the same order.")
@click.option("--activity-type", help="The site's own; else the kind's.")
@click.option("--effective-at", type=MOMENT, help="Not before this time.")
@click.option("--service-at", type=MOMENT, help="The time that the measurement is wanted for.")
@click.option("--callback-url", help="Its replies are posted there; events.callback allows it.")
@click.option("--account", help="Kept with the order.")
@click.option(
    "--priority",
    type=WholeNumber(PRIORITIES.least, PRIORITIES.most),
    default=0,
    show_default=True,
)
@_ELEMENT
@click.option("--wait", "wait_s", type=SECONDS, help="Wait so long for the end (90s, 10m).")
@as_json
@with_session
def submit(
    session: Session,
    /,
    kind: str,
    service_point: str,
    elements: tuple[str, ...],
    wait_s: float | None,
    as_json: bool,
    **given: object,
) -> None:
    """Submit an order of KIND (enable, disable, cut, reconnect, exchange, back_to_back).

    One that a rule stops at once waits for a person; the exit code tells. With
    --wait it is seen to its end.
    """
    body = _asked(kind, service_point, elements, given)
    made = fields(session.client.post("/orders", body))
    if wait_s is None:
        made = _waited(session, made, _FIRST_LOOK_S, lambda order: order["state"] not in _UNSEEN)
    else:
        made = _waited(session, made, wait_s, _ended)
        if not _ended(made):
            say(f"still {made['state_title']} after {wait_s:g} s")
    print_order(made, as_json=as_json)
    raise SystemExit(_rests(made) if wait_s is None or _ended(made) else Exit.UNREACHABLE)


@order.command()
@click.argument("kind", type=_KINDS, required=False)
@click.argument("service_point", required=False)
@click.option("--order", "known", help="The steps that are still before this order.")
@click.option("--activity-type", help="The site's own; else the kind's.")
@click.option("--effective-at", type=MOMENT)
@click.option("--service-at", type=MOMENT)
@_ELEMENT
@as_json
@with_session
def plan(
    session: Session,
    /,
    kind: str | None,
    service_point: str | None,
    known: str | None,
    elements: tuple[str, ...],
    as_json: bool,
    **given: object,
) -> None:
    """Show the steps that an order would take from today's facts. Sends and stores nothing.

    Each with the place in the matrix, the algorithm and the row that decides it.
    """
    if known is not None:
        found = fields(session.client.get(f"/orders/{segment(known)}/plan"))
    elif kind is None or service_point is None:
        raise InvalidRequest("plan", "needs KIND and SERVICE_POINT, or --order")
    else:
        body = _asked(kind, service_point, elements, given)
        found = fields(session.client.post("/orders/plan", body))
    if as_json:
        print_json(found)
    else:
        print_plan(found)
    refused = bool(found["refused_by"]) or found["outcome"] != "completed"
    raise SystemExit(Exit.WITHOUT_SUCCESS if refused else Exit.OK)


@order.command(name="list")
@click.option("--kind", type=_KINDS)
@click.option("--state", type=_STATES)
@click.option("--service-point")
@click.option("--open", is_flag=True, help="Only those that are not final.")
@asked
@paged()
@as_json
@with_session
def list_(session: Session, /, as_json: bool, **query: object) -> None:
    """List orders, newest first."""
    show_list(session.client.get("/orders", query), ORDERS, as_json=as_json)


@order.command()
@click.argument("order_id", metavar="ORDER")
@as_json
@with_session
def show(session: Session, order_id: str, as_json: bool) -> None:
    """Show what really happened to an order: children, decisions with their facts, replies."""
    found = fields(session.client.get(f"/orders/{segment(order_id)}"))
    if as_json:
        print_json(found)
    else:
        print_shown(found)
    raise SystemExit(_rests(fields(found["order"])))


@order.command()
@click.argument("order_id", metavar="ORDER")
@click.option("--reason", default="", help="Kept, and told to the field work system.")
@click.option("--reference", default="", help="Your own: a repeated one is answered as before.")
@as_json
@with_session
def cancel(session: Session, order_id: str, reason: str, reference: str, as_json: bool) -> None:
    """Ask to cancel an order. What became of it is told; it may be too late."""
    body = {"reason": reason, "reference": reference}
    print_request(session, f"/orders/{segment(order_id)}/cancel", body, as_json=as_json)


@order.command()
@click.argument("order_id", metavar="ORDER")
@click.option("--reference", default="", help="Your own: a repeated one is answered as before.")
@click.option("--effective-at", type=MOMENT)
@click.option("--service-at", type=MOMENT)
@_ELEMENT
@as_json
@with_session
def update(
    session: Session,
    order_id: str,
    reference: str,
    effective_at: datetime | None,
    service_at: datetime | None,
    elements: tuple[str, ...],
    as_json: bool,
) -> None:
    """Ask to change elements or times of an order under way. It may be too late."""
    times = body_of({"effectiveAt": effective_at, "serviceAt": service_at})
    body = {"changes": {**_elements(elements), **times}, "reference": reference}
    print_request(session, f"/orders/{segment(order_id)}/update", body, as_json=as_json)


@order.command()
@_SEVERAL
@as_json
@with_session
def retry(session: Session, orders: tuple[str, ...], as_json: bool) -> None:
    """Try again what is in error, on fresh facts; of several ORDERS each."""
    _act(session, orders, "retry", {}, as_json=as_json)


@order.command()
@click.argument("order_id", metavar="ORDER")
@click.option("--effective-at", type=MOMENT)
@click.option("--service-at", type=MOMENT)
@_ELEMENT
@as_json
@with_session
def correct(
    session: Session,
    order_id: str,
    effective_at: datetime | None,
    service_at: datetime | None,
    elements: tuple[str, ...],
    as_json: bool,
) -> None:
    """Change elements or times of an order, as people do; one in error goes on with `retry`."""
    body = body_of(
        {
            "fields": _elements(elements),
            "effective_at": effective_at,
            "service_at": service_at,
        }
    )
    _act(session, (order_id,), "correct", body, as_json=as_json)


@order.command()
@_SEVERAL
@click.option("--reason", required=True, help="Why it counts as done.")
@as_json
@with_session
def complete(session: Session, orders: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Close orders in error as done, by hand."""
    _act(session, orders, "complete", {"reason": reason}, as_json=as_json)


@order.command()
@_SEVERAL
@click.option("--reason", default="", help="Told to the requester.")
@as_json
@with_session
def discard(session: Session, orders: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Give up orders. Refused while a child must be cancelled, or a customer is dark."""
    _act(session, orders, "discard", {"reason": reason}, as_json=as_json)


@order.command()
@click.argument("service_point")
@click.option("--reference", default="", help="Of the payment.")
@as_json
@with_session
def payment(session: Session, service_point: str, reference: str, as_json: bool) -> None:
    """The customer has paid: open cuts there end, and who is dark is reconnected."""
    body = {"service_point": service_point, "reference": reference}
    found = session.client.post("/orders/payment", body)
    if as_json:
        print_json(found)
        return
    told = fields(found)
    if rows := items(found):
        print_rows(PAID, rows)
    say(f"{told['text']} ({told['supply']})")


# ---------------------------------------------------------------- what they share


def _asked(
    kind: str, service_point: str, elements: tuple[str, ...], given: Mapping[str, object]
) -> dict[str, object]:
    body = {"kind": kind, "service_point": service_point, "fields": _elements(elements), **given}
    return body_of(body)


def body_of(given: Mapping[str, object]) -> dict[str, object]:
    """Without what was not given; times as text."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in given.items()
        if value is not None
    }


def _elements(given: Iterable[str]) -> dict[str, str]:
    found = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise InvalidRequest("--field", f"{each!r}: must be NAME=VALUE")
        found[name] = value
    return found


def _act(
    session: Session, orders: tuple[str, ...], what: str, body: dict[str, object], *, as_json: bool
) -> None:
    made = each_of(orders, lambda id_: session.client.post(f"/orders/{segment(id_)}/{what}", body))
    show_each(made, ORDERS, lambda one: print_order(one, as_json=as_json), as_json=as_json)


def _waited(
    session: Session,
    made: dict[str, Json],
    timeout_s: float,
    enough: Callable[[dict[str, Json]], bool],
) -> dict[str, Json]:
    """The order when that is enough, or as it is after so many seconds."""
    until = time.monotonic() + timeout_s
    look_s = _FIRST_WAIT_S
    while not enough(made) and (left := until - time.monotonic()) > 0:
        wait_s = min(look_s, left)
        path = f"/orders/{segment(str(made['id']))}"
        made = fields(fields(session.client.get(path, {"wait": wait_s}, wait_s=wait_s))["order"])
        look_s = min(2 * look_s, _LOOK_S)
    return made


def _ended(made: Mapping[str, Json]) -> bool:
    """It is final, or waits for a person."""
    return bool(made["final"]) or made["state"] in _TROUBLED


def _rests(made: dict[str, Json]) -> Exit:
    return Exit.WITHOUT_SUCCESS if made["state"] in _TROUBLED else Exit.OK


def print_request(
    session: Session, path: str, body: Mapping[str, object], *, as_json: bool
) -> None:
    made = fields(session.client.post(path, body))
    show_fields(made, as_json=as_json)
    refused = made["accepted"] is False or made["state"] in ("error", "validation_error")
    raise SystemExit(Exit.CONFLICT if refused else Exit.OK)
