"""The hard scenarios: lost replies, lost callbacks, people, long days, many meters."""

from datetime import timedelta
from typing import Final

from adapter.commands.activity import CommandRequest, ReadPeriod
from adapter.commands.flows import CommandKind
from adapter.model.ids import DeviceId
from adapter.replay.catalogue_rows import HOUR, SHORT, K, ScenarioRow, Script, hit, one
from adapter.replay.scenario import START, Act, Do


def _quiet(kind: CommandKind) -> Script:
    return hit("drop_callback", kind)


_CUT, _CLOSE = K.REMOTE_DISCONNECT, K.REMOTE_CONNECT
_FIRST_ESN: Final = "2.16.840.1.114416.15.243.700001"
_NEXT_DAY: Final = START + timedelta(hours=20)

HARD: Final = (
    ScenarioRow(
        kind=_CUT,
        name="reply_lost",
        shows=(
            "The reply is lost after the head end took the order. Its callbacks come to an address "
            "that names the order, and bring the token: exactly one DisconnectMeter is sent."
        ),
        script=(hit("lose_reply", _CUT),),
    ),
    ScenarioRow(
        kind=_CUT,
        name="silence_after_acting",
        shows="The head end acts and never replies; the callbacks come while the reply is awaited.",
        script=(hit("hang_after", _CUT),),
    ),
    ScenarioRow(
        kind=_CUT,
        name="callback_before_reply",
        shows="The first callback comes before the reply that brings the token.",
        script=(hit("callback_first", _CUT),),
    ),
    ScenarioRow(
        kind=_CUT,
        name="settled_by_switch_state",
        shows=(
            "Reply and callbacks are lost: nobody knows whether the order was taken. It is not "
            "sent again; fifteen minutes later the switch is read, and is open."
        ),
        script=(hit("lose_reply", _CUT), _quiet(_CUT)),
    ),
    ScenarioRow(
        kind=_CUT,
        name="needs_a_person",
        shows=(
            "A proxy answers 503: the order may have been taken. Two looks find the switch closed, "
            "which proves nothing; two people decide that it was not done."
        ),
        script=(hit("http_status", _CUT, status=503),),
        acts=(
            Act(
                at=2 * HOUR,
                do=Do.RESOLVE,
                by="operator",
                approver="supervisor",
                reason="seen on site: closed",
            ),
        ),
    ),
    ScenarioRow(
        kind=_CUT,
        name="late_success",
        shows=(
            "Reply lost, callbacks two hours late, and the meter goes silent after it acted: the "
            "order is given up as unknown. The late success changes nothing by itself and alarms."
        ),
        script=(hit("lose_reply", _CUT), hit("delay_callback", _CUT, seconds=2 * HOUR)),
        policy=SHORT,
        acts=(
            Act(at=60.0, do=Do.CHANGE_METER, meter={"esn": _FIRST_ESN, "reachable": False}),
            Act(
                at=3 * HOUR,
                do=Do.RESOLVE,
                done=True,
                by="operator",
                approver="supervisor",
                reason="the late callback says so",
            ),
        ),
    ),
    ScenarioRow(
        kind=_CUT,
        name="reconnect_through_the_fence",
        shows=(
            "While a disconnect is unclear a reconnect is held; two people send one past it, since "
            "being dark is the worse harm."
        ),
        script=(hit("lose_reply", _CUT), _quiet(_CUT)),
        acts=(
            Act(at=60.0, do=Do.SUBMIT, request=one(_CLOSE, ignore_install_state=True)),
            Act(
                at=120.0,
                do=Do.SUBMIT,
                request=one(
                    _CLOSE,
                    ignore_install_state=True,
                    past_unclear_order=("operator", "supervisor"),
                ),
            ),
            Act(at=240.0, do=Do.DISCARD, command=2, reason="sent through the fence instead"),
        ),
    ),
    ScenarioRow(
        kind=_CUT,
        name="token_forgotten",
        shows=(
            "The head end works, but no longer knows the token when it is asked for the result: "
            "the switch state tells that the order was carried out."
        ),
        script=(hit("forget_token", _CUT),),
    ),
    ScenarioRow(
        kind=_CUT,
        name="wrong_token",
        shows=(
            "The reply names a token that is not the order's: the callbacks contradict it and are "
            "set aside, the token is unknown when asked, the switch state settles it."
        ),
        script=(hit("wrong_token", _CUT),),
    ),
    ScenarioRow(
        kind=_CUT,
        name="token_of_another",
        shows=(
            "The reply to a second order names the first order's token: it is not believed, the "
            "first order goes on, and the second one's callbacks tell its own."
        ),
        meters=2,
        script=(hit("repeat_token", _CUT, nth=2),),
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
    ScenarioRow(
        kind=_CUT,
        name="stray_callback",
        shows="A callback speaks of a foreign token: it is quarantined, the command goes on.",
        script=(hit("wrong_callback_token", _CUT, state="Executing"),),
    ),
    ScenarioRow(
        kind=_CUT,
        name="cancel_taken",
        shows="Canceled two seconds after it was sent: the head end stops it in time.",
        acts=(Act(at=2.0, do=Do.CANCEL, reason="paid meanwhile"),),
    ),
    ScenarioRow(
        kind=_CUT,
        name="cancel_too_late",
        shows="Canceled when the meter has acted already: the order is done, and says so.",
        acts=(Act(at=9.0, do=Do.CANCEL, reason="paid meanwhile"),),
    ),
    ScenarioRow(
        kind=_CUT,
        name="canceled_before_sending",
        shows="Canceled while it waits for its effective date: nothing was ever sent.",
        ask={"effective_at": START + timedelta(hours=1)},
        acts=(
            Act(at=1_800.0, do=Do.CANCEL, reason="paid meanwhile"),
            Act(at=1_900.0, do=Do.CANCEL, reason="once more"),
        ),
    ),
    ScenarioRow(
        kind=_CUT,
        name="approved",
        shows="Disconnects need a second person here; the requester alone cannot approve.",
        switch={"needs_approval": True},
        acts=(
            Act(at=60.0, do=Do.APPROVE, by="billing"),
            Act(at=600.0, do=Do.APPROVE, by="supervisor"),
        ),
    ),
    ScenarioRow(
        kind=_CUT,
        name="life_support",
        shows="Somebody's life depends on the supply: nothing is sent, whoever asks.",
        registry={0: {"life_support": True}},
        acts=(Act(at=60.0, do=Do.RETRY), Act(at=120.0, do=Do.DISCARD, reason="must not be cut")),
    ),
    ScenarioRow(
        kind=_CUT,
        name="expired",
        shows="The head end cannot be reached until the order has expired: it is never sent.",
        ask={"expires_at": START + timedelta(minutes=10)},
        policy={"retry": {"attempts": 100}},
        acts=(Act(at=0.0, do=Do.HEAD_END_DOWN), Act(at=900.0, do=Do.HEAD_END_UP)),
    ),
    ScenarioRow(
        kind=_CUT,
        name="day_long",
        shows=(
            "Ordered for tomorrow; all callbacks are lost and the first reply too. The settle look "
            "is healed by its polls, and the day ends with the switch open."
        ),
        ask={"effective_at": _NEXT_DAY},
        script=(
            {"effect": "drop_callback", "operation": "*"},
            hit("lose_reply", _CUT),
        ),
        policy={"settle_s": 3 * HOUR},
    ),
    ScenarioRow(
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
                request=one(_CLOSE),
            ),
            Act(at=60.0, do=Do.RETRY, command=2),
        ),
    ),
    ScenarioRow(
        kind=_CLOSE,
        name="load_check_stops",
        shows="Voltage is found behind the open switch: the reconnect is not sent.",
        ask={"check_load": True},
        states={0: {"switch": "Disconnected", "backfeed": True}},
    ),
    ScenarioRow(
        kind=_CLOSE,
        name="all_checks_and_read",
        shows="Switch state, load side and register are read first, then the switch closes.",
        ask={"check_load": True, "check_switch": True, "with_read": True},
    ),
    ScenarioRow(
        kind=_CLOSE,
        name="already_connected",
        shows="The registry is wrong: the switch is closed already, and no order is sent.",
        ask={"check_switch": True},
        states={0: {}},
        registry={0: {"status": "Disconn-Comm"}},
    ),
    ScenarioRow(
        kind=_CLOSE,
        name="armed",
        shows="The switch is armed for the customer's hand.",
        ask={"user_intervention_required": True},
    ),
    ScenarioRow(
        kind=_CLOSE,
        name="reordered_callbacks",
        shows="Completed comes first, Initializing last: nothing goes back.",
        script=(hit("reorder_callbacks", _CLOSE),),
    ),
    ScenarioRow(
        kind=_CLOSE,
        name="lost_callbacks",
        shows="No callback comes: a poll after a minute learns the end.",
        script=(_quiet(_CLOSE),),
    ),
    ScenarioRow(
        kind=_CLOSE,
        name="head_end_restart",
        shows=(
            "The head end restarts and forgets the order before the meter was asked: looks find "
            "the switch open, and the order is not repeated on a guess."
        ),
        policy=SHORT,
        acts=(Act(at=5.0, do=Do.FORGET_TOKENS),),
    ),
    ScenarioRow(
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
    ScenarioRow(
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
    ScenarioRow(
        kind=K.MULTI_DEVICE_STATUS_CHECK,
        name="reordered_callbacks",
        shows="Completed comes first, Initializing last: nothing goes back.",
        meters=2,
        script=(hit("reorder_callbacks", K.MULTI_DEVICE_STATUS_CHECK),),
    ),
    ScenarioRow(
        kind=K.DEVICE_STATUS_CHECK,
        name="callback_before_reply",
        shows="The first callback comes before the reply that brings the token.",
        script=(hit("callback_first", K.DEVICE_STATUS_CHECK),),
    ),
    ScenarioRow(
        kind=K.DEVICE_STATUS_CHECK,
        name="token_forgotten",
        shows="The head end forgets the token; a question may be asked again, and is.",
        script=(hit("forget_token", K.DEVICE_STATUS_CHECK, nth=1),),
    ),
    ScenarioRow(
        kind=K.DEVICE_STATUS_CHECK,
        name="day_of_polls",
        shows="The head end stays silent for a day: polls go on, farther and farther apart.",
        script=(hit("never_finish", K.DEVICE_STATUS_CHECK), _quiet(K.DEVICE_STATUS_CHECK)),
        policy={"reply_s": 2 * 24 * HOUR},
    ),
    ScenarioRow(
        kind=K.SCHEDULED_READ_INTERVAL,
        name="missing_devices",
        shows=(
            "Of four meters one is silent and the data of another never arrive: after the wait "
            "both are accounted for, and the others are measured."
        ),
        meters=4,
        states={1: {"reachable": False}},
        script=(hit("drop_data", K.SCHEDULED_READ_INTERVAL, meter="*.700004"),),
        policy={"measurement_s": 600.0},
    ),
    ScenarioRow(
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
        policy={"reply_s": 24 * HOUR},
    ),
    ScenarioRow(
        kind=K.SCHEDULED_READ_SCALAR,
        name="late_data",
        shows="One meter's data arrive half an hour after the end: they are waited for.",
        meters=2,
        script=(hit("late_data", K.SCHEDULED_READ_SCALAR, meter="*.700002", seconds=1_800.0),),
    ),
    ScenarioRow(
        kind=K.SCHEDULED_READ_SCALAR,
        name="duplicate_data",
        shows="The same data arrive twice: there is one measurement.",
        meters=2,
        script=(hit("duplicate_data", K.SCHEDULED_READ_SCALAR),),
    ),
    ScenarioRow(
        kind=K.ON_DEMAND_READ_SCALAR,
        name="no_data",
        shows="The head end reports success, but no data ever arrive: that is no success.",
        script=(hit("drop_data", K.ON_DEMAND_READ_SCALAR),),
        policy={"measurement_s": 600.0},
    ),
    ScenarioRow(
        kind=K.ON_DEMAND_READ_INTERVAL,
        name="cancel_taken",
        shows="Canceled two seconds after it was sent: the head end stops it in time.",
        acts=(Act(at=2.0, do=Do.CANCEL, reason="not needed"),),
    ),
    ScenarioRow(
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
    ScenarioRow(
        kind=K.READ_DISCONNECT_STATE,
        name="missing_devices",
        shows="Three meters are asked, the answer speaks of two: the third is missing.",
        meters=3,
        states={0: {"switch": "Armed"}},
        script=(hit("omit_device", K.READ_DISCONNECT_STATE, meter="*.700002"),),
    ),
)
