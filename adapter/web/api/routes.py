"""THE ROUTE TABLE of the JSON interface: server and OpenAPI document are both made from it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from adapter.engine.commands.ports import Ledger
from adapter.model.device import DeviceView
from adapter.server.settings import Role
from adapter.web.api import (
    bulk,
    call,
    commands,
    events,
    feed,
    keys,
    orders,
    quarantine,
    readings,
    registry,
    schedules,
    settings,
    subscriptions,
    todo,
    upkeep,
    visits,
)
from adapter.web.api.call import PREFIX, ApiContext, ApiRequest, ApiResponse
from adapter.web.api.problems import LINES

ANY: Final = tuple(role for role in Role if role is not Role.METRICS)
NOBODY: Final[tuple[Role, ...]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`roles`: one of them is needed; none for routes without a key. `why` lists the statuses of
    problems beside those that every route has; `shown` is what the document says of `takes`;
    `media` are the types of a body that is no JSON;
    `lines`: the answer is lines of JSON, of which `gives` is the last; `also` are other forms of
    the answer that Accept may ask for, by media type."""

    method: str
    path: str
    call: Callable[[ApiContext, ApiRequest], Awaitable[ApiResponse]]
    summary: str
    roles: tuple[Role, ...]
    gives: type
    takes: type[msgspec.Struct] | None = None
    shown: type | None = None
    media: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    status: int = 200
    why: tuple[int, ...] = ()
    lines: bool = False
    also: tuple[tuple[str, type], ...] = ()


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
    also: tuple[tuple[str, type], ...] = (),
    headers: tuple[str, ...] = (),
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
        also=also,
        headers=headers,
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
    media: tuple[str, ...] = (),
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
        media=media,
        query=query,
        headers=headers,
        status=status,
        why=why,
    )


_MOVES: Final = (Role.OPERATE, Role.SWITCH)
_PAIR: Final = (Role.SWITCH, Role.APPROVE)
_ONE: Final = PREFIX + "/commands/{command}"
_SCHEDULE: Final = PREFIX + "/schedules/{schedule}"
_OUT: Final = commands.CommandOut
_NOTE: Final = call.NothingIn
_KEYS: Final = (commands.IDEMPOTENCY_KEY, commands.SECOND_KEY)
_VALUES: Final = ("device", "component", "from", "to", "revisions")
_EVENTS: Final = ("device", "from", "to")
_INBOUND: Final = PREFIX + "/inbox/{message}"
_RECEIVER: Final = PREFIX + "/events/receivers/{receiver}"
_SET_ASIDE: Final = PREFIX + "/set-aside/{row}"
_ASIDE: Final = (Role.ADMIN, Role.SWITCH)
_TODO: Final = PREFIX + "/todo/{entry}"
_ACTING: Final = (Role.OPERATE, Role.SWITCH, Role.APPROVE, Role.ADMIN)
_PAGED: Final = ("limit", "cursor")
_ORDERS: Final = (Role.SWITCH,)
_ORDER: Final = PREFIX + "/orders/{order}"
_LISTED: Final = ("kind", "state", "device", "open", *call.ASKED, "limit", "cursor")

# fmt: off
ROUTES: Final = (
    _post(PREFIX + "/commands", commands.submit_command, "Submit a command",
          commands.CommandIn, _OUT, roles=_MOVES, headers=_KEYS, status=202, why=(409,)),
    _get(PREFIX + "/commands", commands.list_commands, "List commands, newest first",
         commands.CommandPage, query=_LISTED),
    _post(PREFIX + "/commands/bulk", bulk.submit_bulk, "Submit many commands of one kind",
          call.RawBody, bulk.BulkOut, roles=_MOVES, headers=(commands.IDEMPOTENCY_KEY,), status=202,
          why=(409,), shown=bulk.BulkIn, media=(LINES, bulk.CSV)),
    _get(PREFIX + "/commands/bulk/{bulk}", bulk.get_bulk,
         "A bulk request, and where its commands stand", bulk.BulkOut, why=(404,)),
    _get(PREFIX + "/commands/bulk/{bulk}/rows", bulk.list_bulk_rows,
         "The commands of a bulk request, by its lines",
         bulk.BulkRowPage, query=_PAGED, why=(404,)),
    _get(_ONE, commands.get_command, "Look at a command; `wait` seconds for its end",
         _OUT, query=("wait",), why=(404, 429)),
    _post(_ONE + "/cancel", commands.cancel_command, "Cancel: at once, or by asking the head end",
          call.ReasonIn, _OUT, roles=_MOVES),
    _post(_ONE + "/retry", commands.retry_command, "Try again what waits in an error state",
          _NOTE, _OUT, roles=_MOVES),
    _post(_ONE + "/discard", commands.discard_command,
          "Give up a command that waits in an error state", call.ReasonIn, _OUT, roles=_MOVES),
    _post(_ONE + "/approve", commands.approve_command, "Approve a disconnect of somebody else",
          _NOTE, _OUT, roles=(Role.APPROVE,)),
    _post(_ONE + "/resolve", commands.resolve_command, "Close an unknown outcome, by two people",
          commands.ResolveIn, _OUT, roles=_PAIR, headers=(commands.SECOND_KEY,)),
    _get(_ONE + "/history", commands.get_command_history,
         "Every transition with its cause, oldest first", commands.History, why=(404,)),
    _get(_ONE + "/outcomes", commands.get_command_outcomes, "The outcome of each endpoint",
         commands.Outcomes, why=(404,)),
    _get(_ONE + "/messages", commands.get_command_messages,
         "The SOAP messages, callback secrets masked", commands.Messages, why=(404,)),
    _get(PREFIX + "/devices", registry.list_devices, "List devices with where they stand",
         registry.DevicePage, query=("limit", "cursor")),
    _post(PREFIX + "/devices", registry.import_devices, "Load master data: all of it, or nothing",
          registry.ImportIn, registry.Imported, roles=(Role.ADMIN,), why=(409,),
          shown=registry.ImportShown),
    _get(PREFIX + "/devices/{device}", registry.get_device, "Look at a device",
         DeviceView, why=(404,)),
    _get(PREFIX + "/devices/{device}/measurements", registry.list_latest_measurements,
         "Its latest measurements", registry.MeasurementList, why=(404,)),
    _get(PREFIX + "/service-points", registry.list_service_points,
         "List service points with whether supply gets through", registry.ServicePointPage,
         query=("supplied", "connected", "bare", "sp_type", *_PAGED)),
    _get(PREFIX + "/service-points/{service_point}", registry.get_service_point,
         "Look at a service point: supply, devices, orders, changes",
         registry.ServicePointShown, why=(404,)),
    _get(PREFIX + "/measurements", readings.list_measurements, "Measurements: from < at <= to",
         readings.ValuePageOut, query=_VALUES + _PAGED, why=(404, 422)),
    _get(PREFIX + "/measurements/lines", readings.export_measurements,
         "All of them, as lines of JSON",
         readings.LinesEnd, query=_VALUES, why=(404, 429), lines=True),
    _get(PREFIX + "/arrived-events", readings.list_arrived_events, "Events as they arrived",
         readings.ArrivedEventPageOut, query=_EVENTS + _PAGED, why=(404, 422)),
    _get(PREFIX + "/arrived-events/lines", readings.export_arrived_events,
         "All of them, as lines",
         readings.LinesEnd, query=_EVENTS, why=(404, 429), lines=True),
    _get(PREFIX + "/payloads", readings.list_payloads, "Payloads taken in, newest first",
         readings.PayloadPage, query=_PAGED, why=(404,)),
    _get(PREFIX + "/payloads/statistics", readings.get_payload_statistics,
         "Counts, bytes, lag and errors of payloads: from <= at < to",
         readings.PayloadStatisticsOut, query=("by", "from", "to"), why=(404,)),
    _get(PREFIX + "/inbox", quarantine.list_inbox, "List messages of the head end, newest first",
         quarantine.InboxPage, query=("state", "since", *_PAGED)),
    _get(_INBOUND, quarantine.get_message, "Look at one message; at the head of a large one",
         quarantine.InboxMessage, why=(404,)),
    _post(_INBOUND + "/retry", quarantine.retry_message,
          "Judge a quarantined one again; `wait` seconds for what becomes of it",
          _NOTE, quarantine.InboxMessage, roles=(Role.ADMIN,), query=("wait",)),
    _post(_INBOUND + "/discard", quarantine.discard_message, "Give up a quarantined one",
          _NOTE, quarantine.InboxMessage, roles=(Role.ADMIN,)),
    _get(PREFIX + "/intake/errors", quarantine.list_intake_errors,
         "What of the payloads gave no measurement, oldest first",
         quarantine.IntakeErrorPage, query=("payload", *_PAGED), why=(404,)),
    _post(PREFIX + "/intake/errors/retry", quarantine.retry_intake_errors,
          "Process them again, with the tables read again", _NOTE, quarantine.IntakeReprocessed,
          roles=(Role.ADMIN,)),
    _post(PREFIX + "/intake/errors/{error}/discard", quarantine.discard_intake_error,
          "Close one that nobody will mend", call.ReasonIn, _NOTE, roles=(Role.ADMIN,)),
    _post(PREFIX + "/intake/reload", quarantine.reload_tables,
          "Read the tables of intake and events again; bad ones leave those before in force",
          _NOTE, quarantine.TablesOut, roles=(Role.ADMIN,)),
    _get(PREFIX + "/events", feed.list_events,
         "All that happened, oldest first; `wait` seconds for the next",
         feed.EventPageOut, query=("after", "types", "subject", "limit", "wait"),
         why=(409, 410, 422, 429), also=((LINES, feed.EventOut), (feed.STREAM, feed.EventOut)),
         headers=(feed.LAST_ID,)),
    _get(PREFIX + "/events/receivers", feed.list_receivers,
         "Systems that events are posted to, and how far each is", feed.ReceiverList),
    _get(_RECEIVER + "/deliveries", feed.list_deliveries,
         "Events that a receiver has not taken, oldest first",
         feed.DeliveryPage, query=("dead", *_PAGED), why=(404,)),
    _post(_RECEIVER + "/retry", feed.retry_deliveries,
          "Post what it has not taken again now, dead letters too; also where it was stopped",
          _NOTE, feed.RetriedOut, roles=(Role.ADMIN,), why=(404,)),
    _post(_RECEIVER + "/replay", feed.replay_events,
          "Post all events since a time again, each with the id that it has",
          feed.ReplayIn, feed.ReplayedOut, roles=(Role.ADMIN,), why=(404,)),
    _post(_RECEIVER + "/test", feed.test_receiver,
          "Post an event of no meaning, and say what came of it", _NOTE, feed.TestedOut,
          roles=(Role.ADMIN,), why=(404,)),
    _get(PREFIX + "/device-events", events.list_device_events,
         "List device events, newest arrival first", events.DeviceEventPage,
         query=("device", "endpoint", "name", "category", "since", "limit", "cursor"), why=(404,)),
    _get(PREFIX + "/device-events/errors", events.list_event_errors, "Events that no table knows",
         events.EventErrorPage, query=("limit", "cursor"), why=(404,)),
    _post(PREFIX + "/device-events/errors/retry", events.retry_event_errors,
          "Look again at the events that no table knew", _NOTE, events.Reprocessed,
          roles=(Role.ADMIN,), why=(404,)),
    _get(PREFIX + "/outages", events.list_outages,
         "Which meters are without supply, and since when",
         events.OutagePage, query=("ended", "since", "limit", "cursor"), why=(404,)),
    _post(PREFIX + "/orders", orders.submit_order, "Submit a service order",
          orders.OrderIn, orders.OrderOut, roles=_ORDERS, status=202, why=(404, 409)),
    _get(PREFIX + "/orders", orders.list_orders, "List service orders, newest first",
         orders.OrderPage, query=orders.LISTED, why=(404,)),
    _post(PREFIX + "/orders/plan", orders.plan_order, "The steps an order would take",
          orders.PlanIn, orders.PlanOut, roles=ANY, why=(404,)),
    _post(PREFIX + "/orders/payment", orders.record_payment, "A payment ends cuts, reconnects",
          orders.PaymentIn, orders.PaymentOut, roles=_ORDERS, why=(404, 409)),
    _get(_ORDER, orders.get_order,
         "An order with children, decisions, replies; `wait` seconds for its end",
         orders.OrderShownOut, query=("wait",), why=(404, 429)),
    _get(_ORDER + "/plan", orders.plan_rest_of_order, "The steps that are still before it",
         orders.PlanOut, why=(404, 409)),
    _post(_ORDER + "/cancel", orders.cancel_order, "Ask to cancel; answers with the request",
          orders.CancelIn, orders.RequestOut, roles=_ORDERS),
    _post(_ORDER + "/update", orders.update_order, "Ask to change; answers with the request",
          orders.UpdateIn, orders.RequestOut, roles=_ORDERS),
    _post(_ORDER + "/retry", orders.retry_order, "Try again what is in error",
          _NOTE, orders.OrderOut, roles=_ORDERS),
    _post(_ORDER + "/correct", orders.correct_order, "Change elements or times",
          orders.CorrectIn, orders.DecidedOut, roles=_ORDERS),
    _post(_ORDER + "/complete", orders.complete_order, "Close one in error as done, by hand",
          orders.CompleteIn, orders.OrderOut, roles=_ORDERS),
    _post(_ORDER + "/discard", orders.discard_order, "Give it up",
          call.ReasonIn, orders.DecidedOut, roles=_ORDERS),
    _post(_ORDER + "/visits/{visit}/complete", visits.complete_visit,
          "Say what was done at a visit, by hand; or correct what its report said",
          visits.VisitCompleteIn, orders.OrderOut, roles=_ORDERS),
    _post(_ORDER + "/visits/{visit}/cancel", visits.cancel_visit,
          "Say that a visit was not made, by hand",
          visits.VisitCancelIn, orders.OrderOut, roles=_ORDERS),
    _post(_ORDER + "/requests/{request}/retry", visits.retry_request,
          "Try a request to cancel or update again", _NOTE, orders.RequestOut,
          roles=_ORDERS),
    _post(_ORDER + "/replies/retry", visits.retry_replies,
          "Send replies to the requester again now", visits.ReplyRetryIn, visits.ReplyList,
          roles=_ORDERS),
    _post(_ORDER + "/replies/discard", visits.discard_reply, "Give up a reply",
          visits.ReplyDiscardIn, orders.ReplyOut, roles=_ORDERS),
    _post(PREFIX + "/measurements", readings.enter_readings, "Enter readings that people have",
          readings.ReadingsIn, readings.EnteredOut, roles=(Role.OPERATE,), why=(404,)),
    _get(PREFIX + "/todo", todo.list_todo, "What waits for people, the most urgent first",
         todo.TodoList, query=("subject", "limit")),
    _get(_TODO, todo.get_todo, "An entry with all that wait because of the same fault",
         todo.TodoShown, why=(404,)),
    _post(_TODO + "/claim", todo.claim_todo, "Say who is at it",
          _NOTE, todo.TodoShown, roles=_ACTING),
    _post(_TODO + "/unclaim", todo.unclaim_todo, "Say that nobody is at it any more",
          _NOTE, todo.TodoShown, roles=_ACTING, why=(404,)),
    _post(PREFIX + "/schedules", schedules.add_schedule, "Schedule a read of a group",
          schedules.ScheduleIn, schedules.ScheduleOut, roles=(Role.OPERATE,),
          status=202, why=(404,)),
    _get(PREFIX + "/schedules", schedules.list_schedules, "List schedules",
         schedules.SchedulePage, query=("state", "limit", "cursor"), why=(404,)),
    _get(_SCHEDULE, schedules.get_schedule, "Look at a schedule",
         schedules.ScheduleOut, why=(404,)),
    _post(_SCHEDULE + "/pause", schedules.pause_schedule, "Make no more requests for now",
          _NOTE, schedules.ScheduleOut, roles=(Role.OPERATE,)),
    _post(_SCHEDULE + "/resume", schedules.resume_schedule, "Go on, and catch up",
          _NOTE, schedules.ScheduleOut, roles=(Role.OPERATE,)),
    _post(_SCHEDULE + "/remove", schedules.remove_schedule, "End a schedule",
          _NOTE, schedules.ScheduleOut, roles=(Role.OPERATE,)),
    _get(_SCHEDULE + "/windows", schedules.list_windows, "What came of its windows",
         schedules.WindowPage, query=("limit", "cursor"), why=(404,)),
    _get(_SCHEDULE + "/windows/{window}", schedules.get_window,
         "One window: which devices were read, failed and are missing",
         schedules.WindowReportOut, query=("result", "limit", "cursor"), why=(404,)),
    _get(PREFIX + "/subscriptions", subscriptions.list_subscriptions,
         "What the head end sends us, and whether it is too quiet",
         subscriptions.SubscriptionsOut, why=(404,)),
    _post(PREFIX + "/subscriptions/check", subscriptions.check_subscriptions,
          "Compare with the head end now", _NOTE, subscriptions.SubscriptionsOut,
          roles=(Role.ADMIN,), why=(404,)),
    _get(PREFIX + "/durations", upkeep.list_durations, "How long things took, by hour",
         upkeep.DurationList, query=("measure", "name", "from", "to")),
    _get(PREFIX + "/retention", upkeep.get_retention, "How long rows are kept",
         upkeep.RetentionOut, why=(404,)),
    _post(PREFIX + "/retention/run", upkeep.run_retention,
          "Begin now to remove what is due", _NOTE, upkeep.RetentionOut,
          roles=(Role.ADMIN,), why=(404,)),
    _get(PREFIX + "/set-aside", upkeep.list_set_aside,
         "Rows that failed unexpectedly, by number: set aside, waiting or discarded",
         upkeep.FailedRowPage, query=("state", "kind", *_PAGED)),
    _get(_SET_ASIDE, upkeep.get_set_aside, "Look at one of them",
         upkeep.FailedRowOut, why=(404,)),
    _post(_SET_ASIDE + "/retry", upkeep.retry_set_aside, "Put one back: it is tried now",
          call.ReasonIn, upkeep.FailedRowOut, roles=_ASIDE, why=(404,)),
    _post(_SET_ASIDE + "/discard", upkeep.discard_set_aside, "Give one up",
          call.ReasonIn, upkeep.FailedRowOut, roles=_ASIDE),
    _get(PREFIX + "/clock", upkeep.get_clock, "Whether the wall clock is believed",
         upkeep.ClockOut, why=(404,)),
    _get(PREFIX + "/switch-holds", upkeep.list_holds, "Why no switch order leaves",
         upkeep.HoldList),
    _post(PREFIX + "/switch-holds/{hold}/confirm", upkeep.confirm_hold,
          "Say that a reason is settled; switch orders leave when none is left",
          call.ReasonIn, upkeep.HoldList, roles=(Role.ADMIN,), why=(404,)),
    _get(PREFIX + "/ledger", upkeep.get_ledger, "Counts that must agree with each other",
         Ledger),
    _get(PREFIX + "/keys", keys.list_keys, "API keys in force, and when each was used last",
         keys.KeyList, roles=(Role.ADMIN,)),
    _post(PREFIX + "/keys/{key}/withdraw", keys.withdraw_key,
          "Refuse a key from now on, by its id or its name", call.ReasonIn, keys.KeyList,
          roles=(Role.ADMIN,)),
    _get(PREFIX + "/settings", settings.list_settings,
         "Settings in force, and what has changed since", settings.SettingList,
         roles=(Role.ADMIN,), why=(409,)),
    _post(PREFIX + "/settings/reload", settings.reload_settings,
          "Read settings, keys and tables again, and take what needs no restart",
          call.ReasonIn, settings.ReloadedOut, roles=(Role.ADMIN,), why=(409,)),
    _get(PREFIX + "/audit", upkeep.list_audit, "The audit chain, oldest first",
         upkeep.AuditPage, query=("limit", "cursor")),
    _get(PREFIX + "/audit/verify", upkeep.verify_audit, "Walk the whole chain, look for breaks",
         upkeep.AuditVerified, roles=(Role.ADMIN,), query=("head",)),
    _get("/healthz", upkeep.get_health, "The process answers",
         upkeep.Health, roles=NOBODY),
    _get("/readyz", upkeep.get_readiness,
         "The store answers and has not failed; whether switch orders are held",
         upkeep.ReadyOut, roles=NOBODY, why=(503,)),
)
# fmt: on
