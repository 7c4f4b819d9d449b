"""`openway order complete-visit` and its like: what people see to beside the order itself."""

from collections.abc import Callable
from datetime import datetime
from functools import reduce
from typing import Final, TypeVar

import click

from adapter.cli.client import fields, items, segment
from adapter.cli.orders import body_of, print_request
from adapter.cli.orders_output import print_order
from adapter.cli.output import Exit, as_json, columns, say, show_fields, show_list
from adapter.cli.session import Session, with_session
from adapter.cli.times import MOMENT
from adapter.cli.words import Word
from adapter.errors import InvalidRequest
from adapter.model.device import DisconnectLocation
from adapter.orders.field_activity import FieldState
from adapter.orders.tasks import FieldEffect

SENT_AGAIN: Final = columns("reply/replies", "id kind state attempts last_error")

F = TypeVar("F", bound=Callable[..., object])


def _work(function: F) -> F:
    """The options that say what was done at a place."""
    options = (
        click.option("--at", type=MOMENT, help="When; else now."),
        click.option("--new-device", help="What was installed; it is in the registry."),
        click.option("--removed-device", help="What was taken away."),
        click.option(
            "--install-status",
            metavar="STATUS",
            help="What a new device was left as; a site's own status too.",
        ),
        click.option("--disconnect-location", type=Word([d.value for d in DisconnectLocation])),
        click.option(
            "--not-done",
            multiple=True,
            type=Word([effect.value for effect in FieldEffect]),
            help="An effect of the task that did not happen; as often as wanted.",
        ),
        click.option("--reading", "readings", multiple=True, metavar="COMPONENT=VALUE"),
        click.option("--reading-pending", is_flag=True, help="The readings come on their own."),
        click.option("--remark", "remarks", multiple=True),
    )
    return reduce(lambda made, option: option(made), reversed(options), function)


@click.command(name="complete-visit")
@click.argument("visit", metavar="VISIT")
@_work
@as_json
@with_session
def complete_visit(
    session: Session,
    /,
    visit: str,
    not_done: tuple[str, ...],
    readings: tuple[str, ...],
    remarks: tuple[str, ...],
    as_json: bool,
    **given: object,
) -> None:
    """Say what was done at VISIT (a child of `order show`), or correct what its report said."""
    body = body_of(
        {
            "not_done": list(not_done),
            "readings": [_reading(each) for each in readings],
            "remarks": list(remarks),
            **given,
        }
    )
    made = session.client.post(f"{_path(visit)}/complete", body)
    print_order(fields(made), as_json=as_json)
    children = items(fields(session.client.get(f"/orders/{_order_of(visit)}")).get("children"))
    child = next((each for each in children if each["id"] == visit), {})
    if child.get("detail_state") == FieldState.COMPLETION_ERROR:
        say(f"{visit} was not completed: {child.get('reason')}")
        raise SystemExit(Exit.WITHOUT_SUCCESS)


@click.command(name="cancel-visit")
@click.argument("visit", metavar="VISIT")
@click.option("--reason", required=True, help="Why it was not made.")
@click.option("--at", type=MOMENT, help="When; else now.")
@click.option("--remark", "remarks", multiple=True)
@as_json
@with_session
def cancel_visit(
    session: Session,
    visit: str,
    reason: str,
    at: datetime | None,
    remarks: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say that VISIT was not made. Nothing is sent to the field work system."""
    body = body_of({"reason": reason, "at": at, "remarks": list(remarks)})
    made = session.client.post(f"{_path(visit)}/cancel", body)
    print_order(fields(made), as_json=as_json)


@click.command(name="retry-request")
@click.argument("order_id", metavar="ORDER")
@click.argument("request")
@as_json
@with_session
def retry_request(session: Session, order_id: str, request: str, as_json: bool) -> None:
    """Try a request to cancel or update again that is in error."""
    path = f"/orders/{segment(order_id)}/requests/{segment(request)}/retry"
    print_request(session, path, {}, as_json=as_json)


@click.command(name="retry-replies")
@click.argument("order_id", metavar="ORDER")
@click.argument("reply", required=False, default="")
@as_json
@with_session
def retry_replies(session: Session, order_id: str, reply: str, as_json: bool) -> None:
    """Send a reply to the requester again now; without REPLY, all that have failed."""
    made = session.client.post(f"/orders/{segment(order_id)}/replies/retry", {"reply": reply})
    show_list(made, SENT_AGAIN, as_json=as_json)


@click.command(name="discard-reply")
@click.argument("order_id", metavar="ORDER")
@click.argument("reply")
@as_json
@with_session
def discard_reply(session: Session, order_id: str, reply: str, as_json: bool) -> None:
    """Give up a reply: it is not sent any more."""
    made = session.client.post(f"/orders/{segment(order_id)}/replies/discard", {"reply": reply})
    show_fields(made, as_json=as_json)


def _path(visit: str) -> str:
    return f"/orders/{_order_of(visit)}/visits/{segment(visit)}"


def _order_of(visit: str) -> str:
    order_id, dot, _ = visit.rpartition(".")
    if not dot:
        raise InvalidRequest("VISIT", f"{visit!r}: is the id of a child, ORDER.NUMBER")
    return segment(order_id)


def _reading(given: str) -> dict[str, str]:
    component, equals, value = given.partition("=")
    if not component or not equals:
        raise InvalidRequest("--reading", f"{given!r}: must be COMPONENT=VALUE")
    return {"component": component, "value": value}


COMMANDS: Final = (complete_visit, cancel_visit, retry_request, retry_replies, discard_reply)
