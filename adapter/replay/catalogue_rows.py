"""The rows of the catalogue: what goes wrong at which command, and what it shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from adapter.commands.activity import CommandRequest, ReadPeriod
from adapter.commands.flows import FLOWS, SWITCH_KINDS, CommandKind
from adapter.model.ids import DeviceId
from adapter.replay.scenario import START, Act, Do

Table = Mapping[str, object]
Script = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One scenario in few words.

    script     what goes wrong at the head end, rows of the simulator's faults
    ask        members of the command request beside kind, target and period
    acts       what is done after the command was submitted at 0 s
    meters     how many there are; `states` are those not as usual at the head end, by number from 0
    registry   what the registry says otherwise than the head end, by number
    """

    kind: CommandKind
    name: str
    shows: str
    script: tuple[Script, ...] = ()
    ask: Table = field(default_factory=dict)
    acts: tuple[Act, ...] = ()
    meters: int = 1
    states: Mapping[int, Table] = field(default_factory=dict)
    registry: Mapping[int, Table] = field(default_factory=dict)
    policy: Table = field(default_factory=dict)
    switch: Table = field(default_factory=dict)
    head_end: Table = field(default_factory=dict)


K = CommandKind
SYNCHRONOUS: Final = tuple(kind for kind in K if FLOWS[kind].synchronous)
_HOUR: Final = 3_600.0
_SHORT: Final[dict[str, object]] = {
    "reply_s": 600.0,
    "settle_s": 300.0,
    "hold_s": 600.0,
    "retry": {"attempts": 2},
}
"""Clocks under which a hopeless command ends within the hour."""


def _main(kind: CommandKind) -> str:
    return FLOWS[kind].request.operation.value.rpartition(".")[2]


def _hit(effect: str, kind: CommandKind, **members: object) -> Script:
    """A script about the command's own request."""
    return {"effect": effect, "operation": _main(kind), **members}


# ---------------------------------------------------------------- provisioning: no callbacks


def provisioning_of(kind: CommandKind) -> tuple[Row, ...]:
    """The six of a command whose reply is its outcome."""
    known = kind is K.DEVICE_COMMISSIONING
    again = Act(at=5.0, do=Do.SUBMIT, request=_one(kind, idempotency_key="order-17"))
    new = Act(at=10.0, do=Do.SUBMIT, request=_one(kind))
    discard = Act(at=600.0, do=Do.DISCARD, command=3, reason="asked for twice")
    refused = (
        _hit("fault", kind, fault="ArgumentFault", text="There is no such configuration group.")
        if known
        else _hit("endpoint_failure", kind, reason="TargetNotRegistered", text="Not registered.")
    )
    broken = _hit("internal_fault", kind, nth=1) if known else _hit("close_before", kind, nth=1)
    return (
        Row(
            kind=kind,
            name="success",
            shows="The reply is the outcome; the completion event follows at once.",
        ),
        Row(
            kind=kind,
            name="business_failure",
            shows=(
                "The head end refuses by a named fault: nothing is repeated, the command ends."
                if known
                else "The head end names the meter as failed: the command ends, the registry stays."
            ),
            script=(refused,),
        ),
        Row(
            kind=kind,
            name="technical_failure",
            shows=(
                "A fault without a name proves nothing; the request may be repeated and is."
                if known
                else "The connection closes without a reply; the request is repeated."
            ),
            script=(broken,),
        ),
        Row(
            kind=kind,
            name="time_out",
            shows="The head end never answers: after the last try a person is asked, then it ends.",
            script=(_hit("hang", kind),),
            policy=_SHORT,
        ),
        Row(
            kind=kind,
            name="reply_lost",
            shows=(
                "The reply is lost after the head end acted; repeating does no harm."
                if known
                else "The reply is lost after the head end acted; repeated, it says that the meter "
                "is not registered: the lost attempt had done it."
            ),
            script=(_hit("lose_reply", kind, nth=1),),
        ),
        Row(
            kind=kind,
            name="repeated",
            shows=(
                "The same idempotency key gives the same command; a new command finds the work "
                "done and is not sent."
            ),
            ask={"idempotency_key": "order-17"},
            acts=(again, new, discard),
        ),
    )


def _one(kind: CommandKind, **members: object) -> CommandRequest:
    return CommandRequest(
        kind=kind,
        devices=(DeviceId("M700001"),),
        requester="billing",
        **members,  # type: ignore[arg-type]  # named by the rows above
    )


# ---------------------------------------------------------------- the six of the other commands

_FOR_MANY: Final = (
    K.SCHEDULED_READ_SCALAR,
    K.SCHEDULED_READ_INTERVAL,
    K.MULTI_DEVICE_STATUS_CHECK,
)
_TIMED_OUT: Final = (
    "The head end never finishes: the order becomes unclear, and looks at the switch do not show "
    "it done; only people can close it."
)
_TIMED_OUT_TWICE: Final = (
    "The head end never finishes: after the reply time the request is repeated, then a person is "
    "asked, then it ends."
)
_SUCCESS: Final[Mapping[CommandKind, str]] = MappingProxyType(
    {
        K.REMOTE_CONNECT: "The switch closes; the install event and its history follow.",
        K.REMOTE_DISCONNECT: "The switch opens; the install event and its history follow.",
        K.ON_DEMAND_READ_SCALAR: "A register is read; its data arrive and become a measurement.",
        K.ON_DEMAND_READ_INTERVAL: "An hour of load profile is read and becomes a measurement.",
        K.SCHEDULED_READ_SCALAR: "The registers of a group of two are read.",
        K.SCHEDULED_READ_INTERVAL: "An hour of load profile of a group of two is read.",
        K.DEVICE_STATUS_CHECK: "The meter answers.",
        K.MULTI_DEVICE_STATUS_CHECK: "Both meters answer; each has its outcome.",
        K.LOAD_CHECK: "There is voltage behind the closed switch.",
        K.READ_DISCONNECT_STATE: "The switch is closed.",
    }
)

_BUSINESS: Final[Mapping[CommandKind, tuple[str, dict[str, Any]]]] = MappingProxyType(
    {
        K.REMOTE_CONNECT: (
            "The meter sees voltage behind its open switch and refuses to close it: a person is "
            "asked, then the command ends.",
            {"states": {0: {"switch": "Disconnected", "backfeed": True}}},
        ),
        K.REMOTE_DISCONNECT: (
            "The meter has no remote switch: repeating cannot help, the command ends.",
            {"states": {0: {"remote_switch": False}}},
        ),
        K.ON_DEMAND_READ_SCALAR: (
            "The head end has no rights at the meter: a person is asked, then the command ends.",
            {
                "script": (
                    _hit("endpoint_failure", K.ON_DEMAND_READ_SCALAR, reason="SecurityFailure"),
                )
            },
        ),
        K.ON_DEMAND_READ_INTERVAL: (
            "The meter's configuration does not fit: a person tries again in vain, then discards.",
            {
                "script": (
                    _hit(
                        "endpoint_failure", K.ON_DEMAND_READ_INTERVAL, reason="ConfigurationError"
                    ),
                ),
                "acts": (
                    Act(at=300.0, do=Do.RETRY),
                    Act(at=600.0, do=Do.DISCARD, reason="a technician was sent"),
                ),
            },
        ),
        K.SCHEDULED_READ_SCALAR: (
            "The head end does not know the group: refused by a named fault, the command ends.",
            {
                "meters": 2,
                "ask": {"group": "Route 7"},
                "registry": {0: {"groups": ["Route 7"]}, 1: {"groups": ["Route 7"]}},
            },
        ),
        K.SCHEDULED_READ_INTERVAL: (
            "No meter of the group answers: every endpoint has its outcome, the command ends.",
            {"meters": 2, "states": {0: {"reachable": False}, 1: {"reachable": False}}},
        ),
        K.DEVICE_STATUS_CHECK: (
            "The meter does not answer: that is the answer to the question.",
            {"states": {0: {"reachable": False}}},
        ),
        K.MULTI_DEVICE_STATUS_CHECK: (
            "Of four meters one is silent and one is not registered: a partial success.",
            {"meters": 4, "states": {1: {"reachable": False}, 3: {"registered": False}}},
        ),
        K.LOAD_CHECK: (
            "The meter is not registered at the head end: refused by a named fault.",
            {"states": {0: {"registered": False}}},
        ),
        K.READ_DISCONNECT_STATE: (
            "The meter is silent twice: a person is asked, then the command ends.",
            {"states": {0: {"reachable": False}}, "policy": _SHORT},
        ),
    }
)

_TECHNICAL: Final[Mapping[CommandKind, tuple[str, dict[str, Any]]]] = MappingProxyType(
    {
        K.REMOTE_CONNECT: (
            "The head end cannot be reached for a minute: nothing has left, so it is sent again.",
            {
                "acts": (Act(at=0.0, do=Do.HEAD_END_DOWN), Act(at=60.0, do=Do.HEAD_END_UP)),
            },
        ),
        K.REMOTE_DISCONNECT: (
            "The head end has too many requests, twice; refused, the order is sent again.",
            {
                "script": (
                    _hit(
                        "fault",
                        K.REMOTE_DISCONNECT,
                        fault="TooManyConcurrentRequestsFault",
                        first=2,
                    ),
                )
            },
        ),
        K.ON_DEMAND_READ_SCALAR: (
            "A fault without a name proves nothing; a read may be repeated and is.",
            {"script": (_hit("internal_fault", K.ON_DEMAND_READ_SCALAR, nth=1),)},
        ),
        K.ON_DEMAND_READ_INTERVAL: (
            "The reply is cut off after the head end took the request; the read is repeated.",
            {"script": (_hit("truncate_reply", K.ON_DEMAND_READ_INTERVAL, nth=1),)},
        ),
        K.SCHEDULED_READ_SCALAR: (
            "A proxy answers 503 for the head end; the request is repeated.",
            {
                "meters": 2,
                "script": (_hit("http_status", K.SCHEDULED_READ_SCALAR, nth=1, status=503),),
            },
        ),
        K.SCHEDULED_READ_INTERVAL: (
            "The connection closes without a reply; the request is repeated.",
            {"meters": 2, "script": (_hit("close_before", K.SCHEDULED_READ_INTERVAL, nth=1),)},
        ),
        K.DEVICE_STATUS_CHECK: (
            "A proxy answers with a page for people; the request is repeated.",
            {"script": (_hit("html_page", K.DEVICE_STATUS_CHECK, nth=1),)},
        ),
        K.MULTI_DEVICE_STATUS_CHECK: (
            "The head end cannot be reached for a minute: nothing has left, so it is sent again.",
            {
                "meters": 2,
                "acts": (Act(at=0.0, do=Do.HEAD_END_DOWN), Act(at=60.0, do=Do.HEAD_END_UP)),
            },
        ),
        K.LOAD_CHECK: (
            "The head end fails after it took the request; the check is repeated, and the first "
            "one's callbacks change nothing.",
            {"script": (_hit("error_after", K.LOAD_CHECK, nth=1),)},
        ),
        K.READ_DISCONNECT_STATE: (
            "The head end answers 202 without a body; the request is repeated.",
            {"script": (_hit("empty_reply", K.READ_DISCONNECT_STATE, nth=1),)},
        ),
    }
)


def six(kind: CommandKind) -> tuple[Row, ...]:
    """Success, business failure, technical failure, time-out, late and duplicate callback."""
    many = 2 if kind in _FOR_MANY else 1
    business, technical = _BUSINESS[kind], _TECHNICAL[kind]
    return (
        Row(kind=kind, name="success", shows=_SUCCESS[kind], meters=many),
        Row(kind=kind, name="business_failure", shows=business[0], **business[1]),
        Row(kind=kind, name="technical_failure", shows=technical[0], **technical[1]),
        Row(
            kind=kind,
            name="time_out",
            shows=_TIMED_OUT if kind in SWITCH_KINDS else _TIMED_OUT_TWICE,
            script=(_hit("never_finish", kind),),
            policy=_SHORT,
            meters=many,
        ),
        Row(
            kind=kind,
            name="late_callback",
            shows=(
                "The last callback comes twenty minutes late: a poll has told the end before it, "
                "and it changes nothing."
            ),
            script=(_hit("delay_callback", kind, state="Completed", seconds=1_200.0),),
            meters=many,
        ),
        Row(
            kind=kind,
            name="duplicate_callback",
            shows="Every callback comes twice; the second one changes nothing.",
            script=(_hit("duplicate_callback", kind),),
            meters=many,
        ),
    )


# ---------------------------------------------------------------- the hard ones


def _quiet(kind: CommandKind) -> Script:
    return _hit("drop_callback", kind)


_CUT, _CLOSE = K.REMOTE_DISCONNECT, K.REMOTE_CONNECT
_FIRST_ESN: Final = "2.16.840.1.114416.15.243.700001"
_NEXT_DAY: Final = START + timedelta(hours=20)

HARD: Final = (
    Row(
        kind=_CUT,
        name="reply_lost",
        shows=(
            "The reply is lost after the head end took the order. Its callbacks come to an address "
            "that names the order, and bring the token: exactly one DisconnectMeter is sent."
        ),
        script=(_hit("lose_reply", _CUT),),
    ),
    Row(
        kind=_CUT,
        name="silence_after_acting",
        shows="The head end acts and never replies; the callbacks come while the reply is awaited.",
        script=(_hit("hang_after", _CUT),),
    ),
    Row(
        kind=_CUT,
        name="callback_before_reply",
        shows="The first callback comes before the reply that brings the token.",
        script=(_hit("callback_first", _CUT),),
    ),
    Row(
        kind=_CUT,
        name="settled_by_switch_state",
        shows=(
            "Reply and callbacks are lost: nobody knows whether the order was taken. It is not "
            "sent again; fifteen minutes later the switch is read, and is open."
        ),
        script=(_hit("lose_reply", _CUT), _quiet(_CUT)),
    ),
    Row(
        kind=_CUT,
        name="needs_a_person",
        shows=(
            "A proxy answers 503: the order may have been taken. Two looks find the switch closed, "
            "which proves nothing; two people decide that it was not done."
        ),
        script=(_hit("http_status", _CUT, status=503),),
        acts=(
            Act(
                at=2 * _HOUR,
                do=Do.RESOLVE,
                by="operator",
                approver="supervisor",
                reason="seen on site: closed",
            ),
        ),
    ),
    Row(
        kind=_CUT,
        name="late_success",
        shows=(
            "Reply lost, callbacks two hours late, and the meter goes silent after it acted: the "
            "order is given up as unknown. The late success changes nothing by itself and alarms."
        ),
        script=(_hit("lose_reply", _CUT), _hit("delay_callback", _CUT, seconds=2 * _HOUR)),
        policy=_SHORT,
        acts=(
            Act(at=60.0, do=Do.CHANGE_METER, meter={"esn": _FIRST_ESN, "reachable": False}),
            Act(
                at=3 * _HOUR,
                do=Do.RESOLVE,
                done=True,
                by="operator",
                approver="supervisor",
                reason="the late callback says so",
            ),
        ),
    ),
    Row(
        kind=_CUT,
        name="reconnect_through_the_fence",
        shows=(
            "While a disconnect is unclear a reconnect is held; two people send one past it, since "
            "being dark is the worse harm."
        ),
        script=(_hit("lose_reply", _CUT), _quiet(_CUT)),
        acts=(
            Act(at=60.0, do=Do.SUBMIT, request=_one(_CLOSE, ignore_install_state=True)),
            Act(
                at=120.0,
                do=Do.SUBMIT,
                request=_one(
                    _CLOSE,
                    ignore_install_state=True,
                    through_fence=("operator", "supervisor"),
                ),
            ),
            Act(at=240.0, do=Do.DISCARD, command=2, reason="sent through the fence instead"),
        ),
    ),
    Row(
        kind=_CUT,
        name="token_forgotten",
        shows=(
            "The head end works, but no longer knows the token when it is asked for the result: "
            "the switch state tells that the order was carried out."
        ),
        script=(_hit("forget_token", _CUT),),
    ),
    Row(
        kind=_CUT,
        name="wrong_token",
        shows=(
            "The reply names a token that is not the order's: the callbacks contradict it and are "
            "set aside, the token is unknown when asked, the switch state settles it."
        ),
        script=(_hit("wrong_token", _CUT),),
    ),
    Row(
        kind=_CUT,
        name="token_of_another",
        shows=(
            "The reply to a second order names the first order's token: it is not believed, the "
            "first order goes on, and the second one's callbacks tell its own."
        ),
        meters=2,
        script=(_hit("repeat_token", _CUT, nth=2),),
        acts=(
            Act(
                at=1.0,
                do=Do.SUBMIT,
                request=CommandRequest(
                    kind=_CUT, devices=(DeviceId("M700002"),), requester="billing"
                ),
            ),
        ),
    ),
    Row(
        kind=_CUT,
        name="stray_callback",
        shows="A callback speaks of a foreign token: it is quarantined, the command goes on.",
        script=(_hit("wrong_callback_token", _CUT, state="Executing"),),
    ),
    Row(
        kind=_CUT,
        name="cancel_taken",
        shows="Canceled two seconds after it was sent: the head end stops it in time.",
        acts=(Act(at=2.0, do=Do.CANCEL, reason="paid meanwhile"),),
    ),
    Row(
        kind=_CUT,
        name="cancel_too_late",
        shows="Canceled when the meter has acted already: the order is done, and says so.",
        acts=(Act(at=9.0, do=Do.CANCEL, reason="paid meanwhile"),),
    ),
    Row(
        kind=_CUT,
        name="canceled_before_sending",
        shows="Canceled while it waits for its effective date: nothing was ever sent.",
        ask={"effective_at": START + timedelta(hours=1)},
        acts=(
            Act(at=1_800.0, do=Do.CANCEL, reason="paid meanwhile"),
            Act(at=1_900.0, do=Do.CANCEL, reason="once more"),
        ),
    ),
    Row(
        kind=_CUT,
        name="approved",
        shows="Disconnects need a second person here; the requester alone cannot approve.",
        switch={"needs_approval": True},
        acts=(
            Act(at=60.0, do=Do.APPROVE, by="billing"),
            Act(at=600.0, do=Do.APPROVE, by="supervisor"),
        ),
    ),
    Row(
        kind=_CUT,
        name="life_support",
        shows="Somebody's life depends on the supply: nothing is sent, whoever asks.",
        registry={0: {"life_support": True}},
        acts=(Act(at=60.0, do=Do.RETRY), Act(at=120.0, do=Do.DISCARD, reason="must not be cut")),
    ),
    Row(
        kind=_CUT,
        name="expired",
        shows="The head end cannot be reached until the order has expired: it is never sent.",
        ask={"expires_at": START + timedelta(minutes=10)},
        policy={"retry": {"attempts": 100}},
        acts=(Act(at=0.0, do=Do.HEAD_END_DOWN), Act(at=900.0, do=Do.HEAD_END_UP)),
    ),
    Row(
        kind=_CUT,
        name="day_long",
        shows=(
            "Ordered for tomorrow; all callbacks are lost and the first reply too. The settle look "
            "is healed by its polls, and the day ends with the switch open."
        ),
        ask={"effective_at": _NEXT_DAY},
        script=(
            {"effect": "drop_callback", "operation": "*"},
            _hit("lose_reply", _CUT),
        ),
        policy={"settle_s": 3 * _HOUR},
    ),
    Row(
        kind=_CUT,
        name="opposite_order",
        shows=(
            "A reconnect is asked for while the disconnect is open: it is held as invalid, tried "
            "again when the way is free, and closes the switch."
        ),
        acts=(
            Act(
                at=5.0,
                do=Do.SUBMIT,
                request=_one(_CLOSE),
            ),
            Act(at=60.0, do=Do.RETRY, command=2),
        ),
    ),
    Row(
        kind=_CLOSE,
        name="load_check_stops",
        shows="Voltage is found behind the open switch: the reconnect is not sent.",
        ask={"check_load": True},
        states={0: {"switch": "Disconnected", "backfeed": True}},
    ),
    Row(
        kind=_CLOSE,
        name="all_checks_and_read",
        shows="Switch state, load side and register are read first, then the switch closes.",
        ask={"check_load": True, "check_switch": True, "with_read": True},
    ),
    Row(
        kind=_CLOSE,
        name="already_connected",
        shows="The registry is wrong: the switch is closed already, and no order is sent.",
        ask={"check_switch": True},
        states={0: {}},
        registry={0: {"status": "Disconn-Comm"}},
    ),
    Row(
        kind=_CLOSE,
        name="armed",
        shows="The switch is armed for the customer's hand.",
        ask={"user_intervention_required": True},
    ),
    Row(
        kind=_CLOSE,
        name="reordered_callbacks",
        shows="Completed comes first, Initializing last: nothing goes back.",
        script=(_hit("reorder_callbacks", _CLOSE),),
    ),
    Row(
        kind=_CLOSE,
        name="lost_callbacks",
        shows="No callback comes: a poll after a minute learns the end.",
        script=(_quiet(_CLOSE),),
    ),
    Row(
        kind=_CLOSE,
        name="head_end_restart",
        shows=(
            "The head end restarts and forgets the order before the meter was asked: looks find "
            "the switch open, and the order is not repeated on a guess."
        ),
        policy=_SHORT,
        acts=(Act(at=5.0, do=Do.FORGET_TOKENS),),
    ),
    Row(
        kind=K.MULTI_DEVICE_STATUS_CHECK,
        name="split_in_chunks",
        shows=(
            "Five meters go in three requests. One meter is silent, one request is refused: every "
            "meter has its outcome."
        ),
        meters=5,
        states={1: {"reachable": False}, 4: {"registered": False}},
        policy={"max_endpoints": 2},
    ),
    Row(
        kind=K.MULTI_DEVICE_STATUS_CHECK,
        name="maximum_results_sent",
        shows=(
            "Three of five meters are silent, but the list of failures is cut after one: absence "
            "from it proves nothing."
        ),
        meters=5,
        states={number: {"reachable": False} for number in (0, 2, 4)},
        head_end={"limits": {"failures_per_result": 1}},
    ),
    Row(
        kind=K.MULTI_DEVICE_STATUS_CHECK,
        name="reordered_callbacks",
        shows="Completed comes first, Initializing last: nothing goes back.",
        meters=2,
        script=(_hit("reorder_callbacks", K.MULTI_DEVICE_STATUS_CHECK),),
    ),
    Row(
        kind=K.DEVICE_STATUS_CHECK,
        name="callback_before_reply",
        shows="The first callback comes before the reply that brings the token.",
        script=(_hit("callback_first", K.DEVICE_STATUS_CHECK),),
    ),
    Row(
        kind=K.DEVICE_STATUS_CHECK,
        name="token_forgotten",
        shows="The head end forgets the token; a question may be asked again, and is.",
        script=(_hit("forget_token", K.DEVICE_STATUS_CHECK, nth=1),),
    ),
    Row(
        kind=K.DEVICE_STATUS_CHECK,
        name="day_of_polls",
        shows="The head end stays silent for a day: polls go on, farther and farther apart.",
        script=(_hit("never_finish", K.DEVICE_STATUS_CHECK), _quiet(K.DEVICE_STATUS_CHECK)),
        policy={"reply_s": 2 * 24 * _HOUR},
    ),
    Row(
        kind=K.SCHEDULED_READ_INTERVAL,
        name="missing_devices",
        shows=(
            "Of four meters one is silent and the data of another never arrive: after the wait "
            "both are accounted for, and the others are measured."
        ),
        meters=4,
        states={1: {"reachable": False}},
        script=(_hit("drop_data", K.SCHEDULED_READ_INTERVAL, meter="*.700004"),),
        policy={"measurement_s": 600.0},
    ),
    Row(
        kind=K.SCHEDULED_READ_INTERVAL,
        name="day_long",
        shows=(
            "To be read in a window twenty hours from now, effective in six; no callback comes, "
            "polls find the end, and the data have arrived."
        ),
        meters=2,
        ask={
            "effective_at": START + timedelta(hours=6),
            "period": ReadPeriod(
                start=START - timedelta(hours=1),
                end=START,
                window_start=START + timedelta(hours=20),
                window_end=START + timedelta(hours=24),
            ),
        },
        script=(_quiet(K.SCHEDULED_READ_INTERVAL),),
        policy={"reply_s": 24 * _HOUR},
    ),
    Row(
        kind=K.SCHEDULED_READ_SCALAR,
        name="late_data",
        shows="One meter's data arrive half an hour after the end: they are waited for.",
        meters=2,
        script=(_hit("late_data", K.SCHEDULED_READ_SCALAR, meter="*.700002", seconds=1_800.0),),
    ),
    Row(
        kind=K.SCHEDULED_READ_SCALAR,
        name="duplicate_data",
        shows="The same data arrive twice: there is one measurement.",
        meters=2,
        script=(_hit("duplicate_data", K.SCHEDULED_READ_SCALAR),),
    ),
    Row(
        kind=K.ON_DEMAND_READ_SCALAR,
        name="no_data",
        shows="The head end reports success, but no data ever arrive: that is no success.",
        script=(_hit("drop_data", K.ON_DEMAND_READ_SCALAR),),
        policy={"measurement_s": 600.0},
    ),
    Row(
        kind=K.ON_DEMAND_READ_INTERVAL,
        name="cancel_taken",
        shows="Canceled two seconds after it was sent: the head end stops it in time.",
        acts=(Act(at=2.0, do=Do.CANCEL, reason="not needed"),),
    ),
    Row(
        kind=K.LOAD_CHECK,
        name="result_pending",
        shows="The result is not ready though the end was told: it is asked for again.",
        script=(
            {
                "effect": "pending_result",
                "operation": "GetDetectLoadSideVoltageByMeterResult",
                "nth": 1,
            },
        ),
    ),
    Row(
        kind=K.READ_DISCONNECT_STATE,
        name="missing_devices",
        shows="Three meters are asked, the answer speaks of two: the third is missing.",
        meters=3,
        states={0: {"switch": "Armed"}},
        script=(_hit("omit_device", K.READ_DISCONNECT_STATE, meter="*.700002"),),
    ),
)
