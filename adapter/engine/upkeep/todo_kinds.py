"""What of each kind waits for people, and why, in a sentence; and THE COMMANDS THAT SETTLE IT, a
row for each. What of orders waits is beside their rows (`store/orders/todo.py`)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from adapter.commands.activity import Activity, Command, State
from adapter.commands.flows import CLOSING_KINDS, SWITCH_KINDS, CommandKind
from adapter.commands.usage_limits import ALL
from adapter.engine.commands.switch_holds import Hold, HoldReason
from adapter.engine.commands.switch_safety import HeldReconnect, WaitTotal
from adapter.engine.feed.ports import ReceiverState
from adapter.engine.subscriptions.subscriptions import Silence, SubscriptionState
from adapter.engine.upkeep.set_aside import UNENDING, RowKind
from adapter.engine.upkeep.todo import HELD_PRIORITY, Todo, Way
from adapter.model.todo import TodoSubject
from adapter.orders.lifecycle import DARK_PRIORITY, TODO_PRIORITY
from adapter.orders.order import ServiceOrder

_REASON: Final = '--reason "seen to"'

# fmt: off
RETRY_COMMAND: Final = Way("command retry {ids}", "tries again, on fresh facts")
GIVE_UP_COMMAND: Final = Way("command discard {ids}", "gives it up")
APPROVE: Final = Way("command approve {ids}", "lets it go, by another person than the requester", 2)
LOOK: Final = Way("command submit read_disconnect_state {device} --wait 2m", "reads the switch")
DONE: Final = Way("command resolve {ids} --done", "closes it as done, the registry follows", 2)
NOT_DONE: Final = Way("command resolve {ids} --not-done", "closes it as not done", 2)
FOLLOW: Final = Way("command retry {ids}", "has the registry follow, once more")

RETRY_ORDER: Final = Way("order retry {ids}", "looks at it again, on fresh facts")
RETRY_OF_VISIT: Final = Way("order retry {order}", "tries the visit again, or waits on for it")
COMPLETE_ORDER: Final = Way(f"order complete {{ids}} {_REASON}", "closes it as done by hand")
GIVE_UP_ORDER: Final = Way(f"order discard {{ids}} {_REASON}", "gives it up")
COMPLETE_VISIT: Final = Way("order complete-visit {id}", "says that the work was done")
_INSTALLED: Final = "order complete-visit {id} --new-device {device}"
INSTALLED: Final = Way(_INSTALLED, "says that the work was done, and what was installed")
CANCEL_VISIT: Final = Way("order cancel-visit {id} --reason CM-NoAccess", "says it was not done")
PAYMENT: Final = Way("order payment {service_point}", "orders the reconnection anew")
RETRY_REQUEST: Final = Way("order retry-request {order} {id}", "tries the request again")
RETRY_REPLY: Final = Way("order retry-replies {order} {id}", "sends the reply again now")
GIVE_UP_REPLY: Final = Way("order discard-reply {order} {id}", "gives the reply up")

JUDGE: Final = Way("quarantine retry {ids}", "judges them again, as if they had just come")
DROP: Final = Way("quarantine discard {ids}", "takes them off the list")
PUT_BACK: Final = Way(f"set-aside retry {{ids}} {_REASON}", "tries them again now")
LEAVE: Final = Way(f"set-aside discard {{ids}} {_REASON}", "gives them up")
REPROCESS: Final = Way("intake reprocess", "processes all again, with the tables read again")
CLOSE_ERRORS: Final = Way(f"intake discard {{ids}} {_REASON}", "closes what nobody will mend")
LOOK_AGAIN: Final = Way("device-events reprocess", "looks at all again, with the tables read again")
POST_AGAIN: Final = Way("events retry {id}", "posts what it has not taken again now")
CHECK: Final = Way("subscriptions check", "asks the head end now, brings about what is missing")
SEE_WAITING: Final = Way("switching waiting", "says what waits for room, and until when")
LET_PASS: Final = Way(
    'switching override LIMIT --for 1h --reason "why"', "lets more pass, for so long"
)
RELOAD: Final = Way("reload", "reads the settings again, and the files that they name")
SEE_KEYS: Final = Way("keys list", "says which are in force, and what is wrong with the file")

OF_HOLD: Final[Mapping[HoldReason, Way]] = {
    HoldReason.CLOCK:       Way(f"clock confirm {_REASON}", "believes the clock as it is"),
    HoldReason.OLDER_STORE: Way(f"holds confirm older_store {_REASON}", "goes on with this store"),
    HoldReason.WITNESS:     Way(f"holds confirm witness {_REASON}", "tries to write it now"),
    HoldReason.STOPPED:     Way(f"switching resume {_REASON}", "asks to go on, or confirms it", 2),
}
_OF_STATE: Final[Mapping[State, tuple[Way, ...]]] = {
    State.VALIDATION_ERROR: (RETRY_COMMAND, GIVE_UP_COMMAND),
    State.AWAITING_APPROVAL: (APPROVE, GIVE_UP_COMMAND),
    State.COMMUNICATION_ERROR: (RETRY_COMMAND, GIVE_UP_COMMAND),
    State.COMPLETION_EVENT_ERROR: (RETRY_COMMAND, GIVE_UP_COMMAND),
    State.NEEDS_PERSON: (LOOK, NOT_DONE, DONE),
}
_ADVICE: Final[Mapping[State, str]] = {
    State.VALIDATION_ERROR: "mend what the rule names, then retry; or discard",
    State.AWAITING_APPROVAL: "approve it with another key than the requester's; or discard",
    State.COMMUNICATION_ERROR: "see to what the head end says, then retry; or discard",
    State.COMPLETION_EVENT_ERROR: "the meter acted: mend the records, then retry",
    State.NEEDS_PERSON: "see what the switch shows, then close it as done or not, by two people",
}
# fmt: on


def of_command(command: Command, *, dark: bool) -> Todo:
    """Of a command in a state in which a person is asked for something."""
    activity, request = command.activity, command.request
    state, kind = activity.state, request.kind
    switch = kind in SWITCH_KINDS
    supply = kind in CLOSING_KINDS and dark
    resolved = activity.resolution is not None and state is State.NEEDS_PERSON
    device = request.devices[0] if request.devices else ""
    return Todo(
        subject=TodoSubject.COMMAND,
        id=command.id,
        since=activity.waits_since or activity.created_at,
        code=state.value,
        text=f"{command.flow.title}: {_why(kind, activity, request.requester)}",
        action=_ADVICE[state],
        priority=DARK_PRIORITY if supply else TODO_PRIORITY,
        order=request.order or "",
        device=device,
        service_point=(activity.service_point or "") if switch else "",
        dark=switch and dark,
        ways=(FOLLOW,) if resolved else _OF_STATE[state],
    )


def _why(kind: CommandKind, activity: Activity, requester: str) -> str:
    match activity.state:
        case State.VALIDATION_ERROR:
            return "; ".join(activity.violations) or activity.reason
        case State.AWAITING_APPROVAL:
            return f"asked for by {requester or 'nobody named'}, waits for a second person"
        case _:
            return activity.reason


def of_given_up(order: ServiceOrder, since: datetime) -> Todo:
    """Of a reconnection that was paid for and given up, while supply is off."""
    return Todo(
        subject=TodoSubject.ORDER,
        id=order.id,
        order=order.id,
        priority=DARK_PRIORITY,
        since=since,
        code="reconnection_given_up",
        text="the customer has paid and stays without supply: the order to reconnect was given up",
        action="order the reconnection anew, or see to supply",
        service_point=order.service_point,
        dark=True,
        ways=(PAYMENT,),
    )


def of_hold(hold: Hold) -> Todo:
    """That switch orders are held."""
    return Todo(
        subject=TodoSubject.SWITCH_HOLD,
        id=hold.reason,
        priority=HELD_PRIORITY,
        since=hold.since,
        code=f"switch_hold_{hold.reason}",
        text=hold.text,
        action=hold.action,
        ways=(OF_HOLD[hold.reason],),
    )


def of_held_reconnect(held: HeldReconnect, hold: Hold) -> Todo:
    """Of a connect that does not leave because of a hold: told before the hold, for somebody may be
    without supply because of it."""
    return Todo(
        subject=TodoSubject.COMMAND,
        id=held.command,
        since=held.since,
        code="reconnect_held",
        text=f"a reconnect is held, for the reason {hold.reason}",
        action="settle the reason, or send somebody: it leaves first when the last reason has gone",
        priority=HELD_PRIORITY + 1 if held.dark else HELD_PRIORITY,
        order=held.order,
        device=held.device,
        service_point=held.service_point,
        dark=held.dark,
        fault=hold.reason,
        ways=(OF_HOLD[hold.reason],),
    )


def of_limit(total: WaitTotal) -> Todo:
    """Of all that wait for room in one limit. Nobody has to do anything: it says until when."""
    of = f" ({total.member})" if total.member != ALL else ""
    many = "1 request waits" if total.waiting == 1 else f"{total.waiting} requests wait"
    return Todo(
        subject=TodoSubject.LIMIT,
        id=f"{total.limit}/{total.member}",
        since=total.since,
        code="limit_reached",
        text=f"{many} for room in {total.limit}{of}: the next until {total.first:%F %T}Z, "
        f"the last until {total.last:%F %T}Z",
        action="nothing: it leaves when there is room; or let more pass for a while",
        priority=1,
        fault=f"{total.limit}/{total.member}",
        ways=(SEE_WAITING, LET_PASS),
    )


def of_failed_row(
    number: int, kind: RowKind, row: str, error: str, detail: str, since: datetime
) -> Todo:
    return Todo(
        subject=TodoSubject.SET_ASIDE,
        id=str(number),
        order=row if kind is RowKind.ORDER else "",
        since=since,
        code=f"{kind}_set_aside",
        text=f"{kind} {row}: {error}: {detail}",
        action="mend what is wrong, then put it back, or discard it",
        ways=(PUT_BACK,) if kind in UNENDING else (PUT_BACK, LEAVE),
    )


def of_message(number: int, operation: str, reason: str, remote: str, since: datetime) -> Todo:
    """Of a message in quarantine."""
    return Todo(
        subject=TodoSubject.MESSAGE,
        id=str(number),
        since=since,
        code="quarantined",
        text=f"{operation.rpartition('.')[2] or 'a message'} was refused: {reason}",
        action="see what it says (quarantine show), then have it judged again, or discard it",
        fault=remote,
        ways=(JUDGE, DROP),
    )


def of_error_record(number: int, endpoint: str, reason: str, detail: str, since: datetime) -> Todo:
    return Todo(
        subject=TodoSubject.ERROR_RECORD,
        id=str(number),
        since=since,
        code=reason,
        text=f"{reason}: {detail}" if detail else reason,
        action="mend the tables or the registry, then process it again; or discard it",
        device=endpoint,
        ways=(REPROCESS, CLOSE_ERRORS),
    )


def of_unknown_event(number: int, endpoint: str, name: str, since: datetime) -> Todo:
    return Todo(
        subject=TodoSubject.UNKNOWN_EVENT,
        id=str(number),
        since=since,
        code="unknown_event",
        text=f"no table knows the event {name}",
        action="teach the table of events its name, then look again",
        device=endpoint,
        ways=(LOOK_AGAIN,),
    )


def of_silence(silence: Silence) -> Todo | None:
    """None while the head end is not too quiet."""
    if silence.alarm is None:
        return None
    last = "nothing has arrived" if silence.last is None else f"nothing since {silence.last:%F %T}Z"
    return Todo(
        subject=TodoSubject.SILENCE,
        id="head_end",
        since=silence.alarm,
        code="silent",
        text=f"the head end is too quiet: {last}",
        action="see whether the head end runs and reaches the listener",
        ways=(CHECK,),
    )


def of_head_end(code: str, text: str, since: datetime) -> Todo:
    """That it does not answer, or late."""
    return Todo(
        subject=TodoSubject.HEAD_END,
        id=code,
        since=since,
        code=code,
        text=text,
        action="see whether the head end runs and is reached; it is called again by itself",
        ways=(CHECK,),
    )


def of_receiver(state: ReceiverState, oldest: datetime | None) -> Todo | None:
    """Of a receiver of events that is too far behind, or wants no more; `oldest` is when the first
    event was stored that it has not taken. None where nothing waits."""
    if oldest is None or not (state.stopped or state.alarm):
        return None
    why = state.stopped or "it is too far behind"
    return Todo(
        subject=TodoSubject.UNDELIVERED,
        id=state.name,
        since=state.alarm or oldest,
        code="receiver_stopped" if state.stopped else "undelivered",
        text=f"events do not reach {state.name}: {why}",
        action="see to the receiver; then have it sent what it has not taken",
        ways=(POST_AGAIN,),
    )


def of_key_file(problem: str, since: datetime) -> Todo:
    """That the file of API keys, as it is now, cannot be used."""
    return Todo(
        subject=TodoSubject.KEY_FILE,
        id="api.keys_file",
        since=since,
        code="key_file_refused",
        text=f"the API keys of before are in force: {problem}",
        action="mend the file: it is read again by itself",
        ways=(SEE_KEYS,),
    )


def of_settings(problem: str, since: datetime) -> Todo:
    """That what the last reload has found could not be taken."""
    return Todo(
        subject=TodoSubject.SETTINGS,
        id="settings",
        since=since,
        code="settings_refused",
        text=f"the settings of before are in force: {problem}",
        action="mend what it names, then reload",
        ways=(RELOAD,),
    )


def of_subscription(state: SubscriptionState) -> Todo | None:
    """None where it is there."""
    if state.healthy:
        return None
    return Todo(
        subject=TodoSubject.SUBSCRIPTION,
        id=state.kind,
        since=state.since,
        code="subscription_failed",
        text=f"the head end does not send {state.kind.value}: {state.detail}",
        action="see to the head end; it is tried again by itself",
        ways=(CHECK,),
    )
