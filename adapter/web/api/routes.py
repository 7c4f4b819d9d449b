"""THE ROUTE TABLE of the JSON interface: server and OpenAPI document are both made from it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from adapter.engine.commands.ports import Ledger
from adapter.model.device import DeviceView
from adapter.server.settings import Role
from adapter.web.api import call as calls
from adapter.web.api import (
    event_calls,
    events,
    hold_calls,
    holds,
    intake_calls,
    order_calls,
    orders,
    quarantine,
    reading_calls,
    readings,
    registry,
    retention_calls,
    schedule_calls,
    schedules,
    schema,
    set_aside,
    set_aside_calls,
    subscription_calls,
    subscriptions,
    upkeep,
    visit_calls,
    visits,
)
from adapter.web.api.call import PREFIX, ApiContext, ApiRequest, ApiResponse

ANY: Final = tuple(Role)
NOBODY: Final[tuple[Role, ...]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`roles`: one of them is needed; none for routes without a key. `why` lists the statuses of
    problems beside those that every route has; `shown` is what the document says of `takes`;
    `lines`: the answer is lines of JSON, of which `gives` is the last."""

    method: str
    path: str
    call: Callable[[ApiContext, ApiRequest], Awaitable[ApiResponse]]
    summary: str
    roles: tuple[Role, ...]
    gives: type
    takes: type[msgspec.Struct] | None = None
    shown: type | None = None
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    status: int = 200
    why: tuple[int, ...] = ()
    lines: bool = False


def _get(
    path: str,
    call: Callable[[ApiContext, ApiRequest], Awaitable[ApiResponse]],
    summary: str,
    gives: type,
    *,
    query: tuple[str, ...] = (),
    why: tuple[int, ...] = (),
    roles: tuple[Role, ...] = ANY,
    lines: bool = False,
) -> Route:
    return Route(
        method="GET",
        path=path,
        call=call,
        summary=summary,
        roles=roles,
        gives=gives,
        query=query,
        why=why,
        lines=lines,
    )


def _post(
    path: str,
    call: Callable[[ApiContext, ApiRequest], Awaitable[ApiResponse]],
    summary: str,
    takes: type[msgspec.Struct],
    gives: type,
    *,
    roles: tuple[Role, ...],
    query: tuple[str, ...] = (),
    headers: tuple[str, ...] = (),
    status: int = 200,
    why: tuple[int, ...] = (404, 409),
    shown: type | None = None,
) -> Route:
    return Route(
        method="POST",
        path=path,
        call=call,
        summary=summary,
        roles=roles,
        gives=gives,
        takes=takes,
        shown=shown or takes,
        query=query,
        headers=headers,
        status=status,
        why=why,
    )


_MOVES: Final = (Role.OPERATE, Role.SWITCH)
_PAIR: Final = (Role.SWITCH, Role.APPROVE)
_ONE: Final = PREFIX + "/commands/{command}"
_SCHEDULE: Final = PREFIX + "/schedules/{schedule}"
_OUT: Final = schema.CommandOut
_NOTE: Final = schema.NothingIn
_KEYS: Final = (calls.IDEMPOTENCY_KEY, calls.SECOND_KEY)
_VALUES: Final = ("device", "component", "from", "to", "revisions")
_EVENTS: Final = ("device", "from", "to")
_INBOUND: Final = PREFIX + "/inbox/{inbound}"
_SET_ASIDE: Final = PREFIX + "/set-aside/{row}"
_ASIDE: Final = (Role.ADMIN, Role.SWITCH)
_PAGED: Final = ("limit", "cursor")
_ORDERS: Final = (Role.SWITCH,)
_ORDER: Final = PREFIX + "/orders/{order}"
_LISTED: Final = ("kind", "state", "device", "open", "limit", "cursor")

# fmt: off
ROUTES: Final = (
    _post(PREFIX + "/commands", calls.submit, "Submit a command",
          schema.CommandIn, _OUT, roles=_MOVES, headers=_KEYS, status=202, why=(409,)),
    _get(PREFIX + "/commands", calls.list_commands, "List commands, newest first",
         schema.CommandPage, query=_LISTED),
    _get(_ONE, calls.get_command, "Look at a command; `wait` seconds for its end",
         _OUT, query=("wait",), why=(404, 429)),
    _post(_ONE + "/cancel", calls.cancel, "Cancel: at once, or by asking the head end",
          schema.ReasonIn, _OUT, roles=_MOVES),
    _post(_ONE + "/retry", calls.retry, "Try again what waits in an error state",
          _NOTE, _OUT, roles=_MOVES),
    _post(_ONE + "/discard", calls.discard, "Give up a command that waits in an error state",
          schema.ReasonIn, _OUT, roles=_MOVES),
    _post(_ONE + "/approve", calls.approve, "Approve a disconnect of somebody else",
          _NOTE, _OUT, roles=(Role.APPROVE,)),
    _post(_ONE + "/resolve", calls.resolve, "Close an unknown outcome, by two people",
          schema.ResolveIn, _OUT, roles=_PAIR, headers=(calls.SECOND_KEY,)),
    _get(_ONE + "/history", calls.history, "Every transition with its cause, oldest first",
         schema.History, why=(404,)),
    _get(_ONE + "/outcomes", calls.outcomes, "The outcome of each endpoint",
         schema.Outcomes, why=(404,)),
    _get(_ONE + "/messages", calls.messages, "The SOAP messages, callback secrets masked",
         schema.Messages, why=(404,)),
    _get(PREFIX + "/devices", calls.list_devices, "List devices with where they stand",
         schema.DevicePage, query=("limit", "cursor")),
    _post(PREFIX + "/devices", calls.import_devices, "Load master data: all of it, or nothing",
          registry.ImportIn, registry.Imported, roles=(Role.ADMIN,), why=(409,),
          shown=registry.ImportShown),
    _get(PREFIX + "/devices/{device}", calls.get_device, "Look at a device",
         DeviceView, why=(404,)),
    _get(PREFIX + "/devices/{device}/measurements", calls.measurements, "Its latest measurements",
         schema.MeasurementList, why=(404,)),
    _get(PREFIX + "/measurements", reading_calls.list_values, "Measurements: from < at <= to",
         readings.ValuePageOut, query=_VALUES + _PAGED, why=(404, 422)),
    _get(PREFIX + "/measurements/lines", reading_calls.value_lines, "All of them, as lines of JSON",
         readings.LinesEnd, query=_VALUES, why=(404, 429), lines=True),
    _get(PREFIX + "/arrived-events", reading_calls.list_arrived_events, "Events as they arrived",
         readings.ArrivedEventPageOut, query=_EVENTS + _PAGED, why=(404, 422)),
    _get(PREFIX + "/arrived-events/lines", reading_calls.arrived_event_lines,
         "All of them, as lines",
         readings.LinesEnd, query=_EVENTS, why=(404, 429), lines=True),
    _get(PREFIX + "/payloads", reading_calls.list_payloads, "Payloads taken in, newest first",
         readings.PayloadPage, query=_PAGED, why=(404,)),
    _get(PREFIX + "/payloads/statistics", reading_calls.payload_statistics,
         "Counts, bytes, lag and errors of payloads: from <= at < to",
         readings.PayloadStatisticsOut, query=("by", "from", "to"), why=(404,)),
    _get(PREFIX + "/inbox", calls.list_inbox, "List messages of the head end, newest first",
         schema.InboxPage, query=("state", "limit", "cursor")),
    _get(_INBOUND, intake_calls.get_inbound, "Look at one message; at the head of a large one",
         quarantine.InboxMessage, why=(404,)),
    _post(_INBOUND + "/retry", intake_calls.retry_inbound,
          "Judge a quarantined one again; `wait` seconds for what becomes of it",
          _NOTE, quarantine.InboxMessage, roles=(Role.ADMIN,), query=("wait",)),
    _post(_INBOUND + "/discard", intake_calls.discard_inbound, "Give up a quarantined one",
          _NOTE, quarantine.InboxMessage, roles=(Role.ADMIN,)),
    _get(PREFIX + "/intake/errors", intake_calls.list_intake_errors,
         "What of the payloads gave no measurement, oldest first",
         quarantine.IntakeErrorPage, query=("payload", *_PAGED), why=(404,)),
    _post(PREFIX + "/intake/errors/retry", intake_calls.reprocess_intake,
          "Process them again, with the tables read again", _NOTE, quarantine.IntakeReprocessed,
          roles=(Role.ADMIN,)),
    _post(PREFIX + "/intake/errors/{error}/discard", intake_calls.discard_intake_error,
          "Close one that nobody will mend", schema.ReasonIn, _NOTE, roles=(Role.ADMIN,)),
    _post(PREFIX + "/intake/reload", intake_calls.reload_tables,
          "Read the tables of intake and events again; bad ones leave those before in force",
          _NOTE, quarantine.TablesOut, roles=(Role.ADMIN,)),
    _get(PREFIX + "/events", event_calls.list_events, "List device events, newest arrival first",
         events.EventPage,
         query=("device", "endpoint", "name", "category", "since", "limit", "cursor"), why=(404,)),
    _get(PREFIX + "/events/errors", event_calls.list_event_errors, "Events that no table knows",
         events.EventErrorPage, query=("limit", "cursor"), why=(404,)),
    _post(PREFIX + "/events/errors/retry", event_calls.reprocess_events,
          "Look again at the events that no table knew", _NOTE, events.Reprocessed,
          roles=(Role.ADMIN,), why=(404,)),
    _get(PREFIX + "/outages", event_calls.list_outages, "Which meters are dark, and since when",
         events.OutagePage, query=("ended", "since", "limit", "cursor"), why=(404,)),
    _post(PREFIX + "/orders", order_calls.submit_order, "Submit a service order",
          orders.OrderIn, orders.OrderOut, roles=_ORDERS, status=202, why=(404, 409)),
    _get(PREFIX + "/orders", order_calls.list_orders, "List service orders, newest first",
         orders.OrderPage, query=order_calls.LISTED, why=(404,)),
    _post(PREFIX + "/orders/plan", order_calls.plan_order, "The steps an order would take",
          orders.PlanIn, orders.PlanOut, roles=ANY, why=(404,)),
    _post(PREFIX + "/orders/payment", order_calls.record_payment, "A payment ends open cuts",
          orders.PaymentIn, orders.OrderList, roles=_ORDERS),
    _get(_ORDER, order_calls.get_order, "An order with children, decisions, replies",
         orders.OrderShownOut, why=(404,)),
    _get(_ORDER + "/plan", order_calls.plan_rest_of_order, "The steps that are still before it",
         orders.PlanOut, why=(404, 409)),
    _post(_ORDER + "/cancel", order_calls.cancel_order, "Ask to cancel; answers with the request",
          orders.CancelIn, orders.RequestOut, roles=_ORDERS),
    _post(_ORDER + "/update", order_calls.update_order, "Ask to change; answers with the request",
          orders.UpdateIn, orders.RequestOut, roles=_ORDERS),
    _post(_ORDER + "/retry", order_calls.retry_order, "Try again what is in error",
          _NOTE, orders.OrderOut, roles=_ORDERS),
    _post(_ORDER + "/correct", order_calls.correct_order, "Change elements or times",
          orders.CorrectIn, orders.OrderOut, roles=_ORDERS),
    _post(_ORDER + "/complete", order_calls.complete_order, "Close one in error as done, by hand",
          orders.HandIn, orders.OrderOut, roles=_ORDERS),
    _post(_ORDER + "/discard", order_calls.discard_order, "Give it up",
          schema.ReasonIn, orders.OrderOut, roles=_ORDERS),
    _post(_ORDER + "/visits/{visit}/complete", visit_calls.complete_visit,
          "Say what was done at a visit, by hand; or correct what its report said",
          visits.WorkIn, orders.OrderOut, roles=_ORDERS),
    _post(_ORDER + "/visits/{visit}/cancel", visit_calls.cancel_visit,
          "Say that a visit was not made, by hand",
          visits.VisitCancelIn, orders.OrderOut, roles=_ORDERS),
    _post(_ORDER + "/requests/{request}/retry", visit_calls.retry_request,
          "Try a request to cancel or update again", _NOTE, orders.RequestOut,
          roles=_ORDERS),
    _post(_ORDER + "/replies/retry", visit_calls.retry_replies,
          "Send replies to the requester again now", visits.ReplyIn, visits.ReplyList,
          roles=_ORDERS),
    _post(_ORDER + "/replies/discard", visit_calls.discard_reply, "Give up a reply",
          visits.OneReplyIn, visits.ReplyOut, roles=_ORDERS),
    _post(PREFIX + "/measurements", visit_calls.enter_readings, "Enter readings that people have",
          visits.ReadingsIn, visits.EnteredOut, roles=(Role.OPERATE,), why=(404,)),
    _get(PREFIX + "/todo", order_calls.list_todo, "What waits for people, the most urgent first",
         orders.TodoList, query=("limit",), why=(404,)),
    _post(PREFIX + "/schedules", schedule_calls.add_schedule, "Schedule a read of a group",
          schedules.ScheduleIn, schedules.ScheduleOut, roles=(Role.OPERATE,),
          status=202, why=(404,)),
    _get(PREFIX + "/schedules", schedule_calls.list_schedules, "List schedules",
         schedules.SchedulePage, query=("state", "limit", "cursor"), why=(404,)),
    _get(_SCHEDULE, schedule_calls.get_schedule, "Look at a schedule",
         schedules.ScheduleOut, why=(404,)),
    _post(_SCHEDULE + "/pause", schedule_calls.pause_schedule, "Make no more requests for now",
          _NOTE, schedules.ScheduleOut, roles=(Role.OPERATE,)),
    _post(_SCHEDULE + "/resume", schedule_calls.resume_schedule, "Go on, and catch up",
          _NOTE, schedules.ScheduleOut, roles=(Role.OPERATE,)),
    _post(_SCHEDULE + "/remove", schedule_calls.remove_schedule, "End a schedule",
          _NOTE, schedules.ScheduleOut, roles=(Role.OPERATE,)),
    _get(_SCHEDULE + "/windows", schedule_calls.list_windows, "What came of its windows",
         schedules.WindowPage, query=("limit", "cursor"), why=(404,)),
    _get(_SCHEDULE + "/windows/{window}", schedule_calls.get_window,
         "One window: which devices were read, failed and are missing",
         schedules.WindowReportOut, query=("result", "limit", "cursor"), why=(404,)),
    _get(PREFIX + "/subscriptions", subscription_calls.list_subscriptions,
         "What the head end sends us, and whether it is too quiet",
         subscriptions.SubscriptionsOut, why=(404,)),
    _post(PREFIX + "/subscriptions/check", subscription_calls.check_subscriptions,
          "Compare with the head end now", _NOTE, subscriptions.SubscriptionsOut,
          roles=(Role.ADMIN,), why=(404,)),
    _get(PREFIX + "/retention", retention_calls.show_retention, "How long rows are kept",
         upkeep.RetentionOut, why=(404,)),
    _post(PREFIX + "/retention/run", retention_calls.run_retention,
          "Begin now to remove what is due", _NOTE, upkeep.RetentionOut,
          roles=(Role.ADMIN,), why=(404,)),
    _get(PREFIX + "/set-aside", set_aside_calls.list_set_aside,
         "Rows that failed unexpectedly, by number: set aside, waiting or discarded",
         set_aside.FailedRowPage, query=("state", "kind", *_PAGED)),
    _get(_SET_ASIDE, set_aside_calls.get_set_aside, "Look at one of them",
         set_aside.FailedRowOut, why=(404,)),
    _post(_SET_ASIDE + "/retry", set_aside_calls.retry_set_aside, "Put one back: it is tried now",
          schema.ReasonIn, set_aside.FailedRowOut, roles=_ASIDE, why=(404,)),
    _post(_SET_ASIDE + "/discard", set_aside_calls.discard_set_aside, "Give one up",
          schema.ReasonIn, set_aside.FailedRowOut, roles=_ASIDE),
    _get(PREFIX + "/clock", hold_calls.show_clock, "Whether the wall clock is believed",
         holds.ClockOut, why=(404,)),
    _get(PREFIX + "/switch-holds", hold_calls.list_holds, "Why no switch order leaves",
         holds.HoldList),
    _post(PREFIX + "/switch-holds/{hold}/confirm", hold_calls.confirm_hold,
          "Say that a reason is settled; switch orders leave when none is left",
          schema.ReasonIn, holds.HoldList, roles=(Role.ADMIN,), why=(404,)),
    _get(PREFIX + "/ledger", calls.ledger, "Counts that must agree with each other",
         Ledger),
    _get(PREFIX + "/audit", calls.list_audit, "The audit chain, oldest first",
         schema.AuditPage, query=("limit", "cursor")),
    _get(PREFIX + "/audit/verify", calls.verify_audit, "Walk the whole chain, look for breaks",
         schema.AuditVerified, roles=(Role.ADMIN,)),
    _get("/healthz", calls.healthy, "The process answers",
         schema.Health, roles=NOBODY),
    _get("/readyz", hold_calls.ready,
         "The store answers and has not failed; whether switch orders are held",
         holds.ReadyOut, roles=NOBODY, why=(503,)),
)
# fmt: on
