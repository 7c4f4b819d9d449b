"""Validation of commands: shape of the request, rules against the world, guard before a cut.

Three moments, three functions: `check_request` before anything is stored, `judge` on acceptance
and on every retry (fresh facts), `may_dispatch` before the intent to send is stored and, for a
switch order, once more between that and the first byte. Rules are rows of DEVICE_RULES and
DISPATCH_RULES; which kinds one is for is asked of their nature.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from types import MappingProxyType
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from adapter.commands.activity import Activity, CommandRequest, Target, UnsureLoadCheck
from adapter.commands.flows import (
    CLOSING_KINDS,
    EFFECT_OF,
    READ_KINDS,
    SWITCH_KINDS,
    CommandKind,
    Leaves,
    Nature,
    Priority,
    Scope,
)
from adapter.commands.timing import given_in_utc
from adapter.commands.usage_limits import Hours, SwitchCap, SwitchSpread
from adapter.errors import InvalidRequest
from adapter.model.bounds import CountOrZero, PositiveSeconds, check_bounds
from adapter.model.device import (
    THIS_HEAD_END,
    Device,
    DeviceView,
    allows,
    already,
    override_problem,
)
from adapter.model.ids import CommandId, DeviceId, EndpointId, endpoint_key
from adapter.model.names import alike

_MAX_DEVICES: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A rule that the request breaks in the world as it is. `rule` is stable."""

    rule: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchPolicy:
    """What bars a disconnect from leaving (I8)."""

    window: Annotated[
        tuple[time, time] | None,
        "local hours in which disconnects may leave, as 08:00-17:00; empty: any",
    ] = None
    time_zone: Annotated[str, "zone of those hours"] = "UTC"
    weekdays: Annotated[frozenset[int], "days on which disconnects may leave"] = frozenset(range(7))
    per_hour: Annotated[CountOrZero | None, "disconnects in any hour; empty: no limit"] = None
    needs_approval: Annotated[bool, "a second person must approve every disconnect"] = False
    resume_s: Annotated[
        PositiveSeconds, "within so long a second person has to confirm that switching goes on"
    ] = 900.0
    longest_override_s: Annotated[PositiveSeconds, "an override of a limit ends by then"] = 86_400.0
    cap: tuple[SwitchCap, ...] = ()
    spread: tuple[SwitchSpread, ...] = ()

    def __post_init__(self) -> None:
        check_bounds(self)

    @property
    def hours(self) -> Hours:
        return Hours(window=self.window, weekdays=self.weekdays, zone=self.time_zone)


def check_request(request: CommandRequest, *, now: datetime) -> None:
    """Refuse what can never become a command. Raises InvalidRequest naming the field."""
    scope = request.flow.scope
    if scope is Scope.GROUP:
        if not request.group:
            raise InvalidRequest("group", f"{request.kind} names a group")
        if request.devices:
            raise InvalidRequest("devices", f"{request.kind} names a group, not devices")
    elif request.group:
        raise InvalidRequest("group", f"{request.kind} names devices, not a group")
    elif not request.devices:
        raise InvalidRequest("devices", "at least one device")
    elif scope is Scope.METER and len(request.devices) != 1:
        raise InvalidRequest("devices", f"{request.kind} takes exactly one device")
    if len(request.devices) > _MAX_DEVICES:
        raise InvalidRequest("devices", f"at most {_MAX_DEVICES}")
    if len(set(request.devices)) != len(request.devices):
        raise InvalidRequest("devices", "a device is named twice")
    _check_times(request, now)
    _check_options(request)


def _check_times(request: CommandRequest, now: datetime) -> None:
    given_in_utc("effective_at", request.effective_at)
    given_in_utc("expires_at", request.expires_at)
    if request.expires_at is not None:
        if request.expires_at <= now:
            raise InvalidRequest("expires_at", "is in the past")
        if request.effective_at is not None and request.expires_at <= request.effective_at:
            raise InvalidRequest("expires_at", "must be after effective_at")
    period = request.period
    if period is None:
        if request.kind in READ_KINDS:
            raise InvalidRequest("period", f"{request.kind} needs the period to read")
        return
    if request.kind not in READ_KINDS:
        raise InvalidRequest("period", f"{request.kind} reads no period")
    for bound in (period.start, period.end, period.window_start, period.window_end):
        given_in_utc("period", bound)
    if period.end <= period.start:
        raise InvalidRequest("period", "end must be after start")
    if (period.window_start is None) != (period.window_end is None):
        raise InvalidRequest("period", "window_start and window_end go together")
    if period.window_start and period.window_end and period.window_end <= period.window_start:
        raise InvalidRequest("period", "window_end must be after window_start")


OPTIONS: Final[Mapping[str, frozenset[CommandKind]]] = MappingProxyType(
    {
        "check_load": CLOSING_KINDS,
        "user_intervention_required": CLOSING_KINDS,
        "check_switch": SWITCH_KINDS,
        "with_read": SWITCH_KINDS,
        "emergency_override": SWITCH_KINDS,
    }
)
"""Which kinds have an option."""


def _check_options(request: CommandRequest) -> None:
    for name, kinds in OPTIONS.items():
        if getattr(request, name) and request.kind not in kinds:
            raise InvalidRequest(name, f"belongs to {' and '.join(sorted(kinds))}")
    if request.unsure_load_check is not UnsureLoadCheck.WAIT and not request.check_load:
        raise InvalidRequest("unsure_load_check", "belongs to check_load")
    override = request.install_status_override
    if override is not None:
        effect = EFFECT_OF.get(request.kind)
        if effect is None:
            raise InvalidRequest("install_status_override", f"{request.kind} sets no status")
        if problem := override_problem(effect, override):
            raise InvalidRequest("install_status_override", problem)
    if request.past_unclear_order is not None:
        if request.kind not in CLOSING_KINDS:
            raise InvalidRequest("past_unclear_order", "only a reconnect may pass the fence")
        operator, approver = request.past_unclear_order
        if not operator or not approver or alike(operator, approver):
            raise InvalidRequest("past_unclear_order", "needs two different people")
    if request.idempotency_key is not None and not 1 <= len(request.idempotency_key) <= 200:
        raise InvalidRequest("idempotency_key", "1 to 200 characters")
    if len(request.reference) > 200:
        raise InvalidRequest("reference", "at most 200 characters")


def priority_of(request: CommandRequest) -> Priority:
    """The request's priority, or its kind's: connects first, group reads last."""
    return request.nature.priority if request.priority is None else request.priority


def judge(
    request: CommandRequest,
    views: Sequence[DeviceView],
    *,
    head_end_kinds: frozenset[CommandKind],
    open_commands: Mapping[str, CommandId],
    holders: Mapping[EndpointId, Sequence[DeviceView]] = MappingProxyType({}),
    head_end: str = THIS_HEAD_END,
) -> tuple[Violation, ...]:
    """The rules a command breaks in the world as it is now.

    `head_end_kinds` is what the head end can do; `open_commands` maps the lanes this command needs
    to the open command that holds them (duplicates and opposites); `holders` are the devices that
    name an endpoint and are not removed; `head_end` is what the gateway's own head end is called.
    """
    found: list[Violation] = []
    if request.kind not in head_end_kinds:
        found.append(
            Violation(rule="head_end_capability", text=f"the head end cannot {request.kind}")
        )
    for view in views:
        named = view.device.endpoint
        others = () if named is None else holders.get(named, ())
        asked = AskedDevice(request=request, view=view, holders=others, head_end=head_end)
        found.extend(_judge_device(asked))
    told: set[CommandId] = set()
    for lane, holder in sorted(open_commands.items()):
        if holder not in told:
            told.add(holder)
            text = f"command {holder} is open for {lane}"
            found.append(Violation(rule="open_command", text=text))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedDevice:
    """A device of a request, the devices that name its endpoint, and the gateway's head end."""

    request: CommandRequest
    view: DeviceView
    holders: Sequence[DeviceView]
    head_end: str


def _judge_device(asked: AskedDevice) -> list[Violation]:
    found: list[Violation] = []
    for row in DEVICE_RULES:
        if row.applies(asked.request.nature):
            texts = row.broken(asked)
            found.extend(Violation(rule=row.rule, text=text) for text in texts)
            if texts and row.decides:
                break
    return found


def _not_smart(asked: AskedDevice) -> Sequence[str]:
    device = asked.view.device
    return () if device.smart else (f"{device.id} is not a smart meter",)


def _elsewhere(asked: AskedDevice) -> Sequence[str]:
    text = _at_another(asked.view.device, asked.head_end)
    return (text,) if text else ()


def _at_another(device: Device, head_end: str) -> str:
    """Another head end may have given the same endpoint to another meter."""
    if device.belongs_to(head_end):
        return ""
    return f"{device.id} is at the head end {device.head_end}, and this one is {head_end}"


def _incapable(asked: AskedDevice) -> Sequence[str]:
    device, kind = asked.view.device, asked.request.kind
    able = kind.value in device.capabilities
    return () if able else (f"{device.id} does not support {kind}",)


def _installed_otherwise(asked: AskedDevice) -> Sequence[str]:
    request, view = asked.request, asked.view
    effect = request.nature.effect
    if effect is None or request.ignore_install_state or allows(view.installed, effect):
        return ()
    status = view.installed.status if view.installed else "not installed"
    verb = "already is as wanted" if already(view.installed, effect) else "does not allow it"
    return (f"{view.device.id}: install status {status} {verb} ({effect})",)


def _shared_endpoint(asked: AskedDevice) -> Sequence[str]:
    return _shared(asked.view, asked.holders)


def _shared(view: DeviceView, holders: Sequence[DeviceView]) -> Sequence[str]:
    """One endpoint is one meter: where two devices name it, nobody can tell whose it is (I7)."""
    others = [each.device.id for each in _others(view, holders)]
    if not others:
        return ()
    text = f"endpoint {view.device.endpoint} of {view.device.id} is also that of "
    text += f"{', '.join(others)}: load the right endpoints, or when one of them was removed"
    return (text,)


def _protected(asked: AskedDevice) -> Sequence[str]:
    texts = map(_protection, (asked.view, *_others(asked.view, asked.holders)))
    return tuple(text for text in texts if text)


def _others(view: DeviceView, holders: Sequence[DeviceView]) -> list[DeviceView]:
    return [each for each in holders if each.device.id != view.device.id]


def _protection(view: DeviceView) -> str:
    """Whoever ignores the install state must know all the same whose electricity it is."""
    point, installed = view.service_point, view.installed
    if point is None or (installed is not None and installed.removed_at is not None):
        return f"nobody knows where {view.device.id} is, so it may be protected: no disconnect"
    if point.protected or point.life_support:
        why = "life support" if point.life_support else "protected"
        return f"service point {point.id} is {why}: no disconnect"
    return ""


def _every(_nature: Nature) -> bool:
    return True


def _changes(nature: Nature) -> bool:
    return nature.effect is not None


def _opens(nature: Nature) -> bool:
    return nature.leaves is Leaves.OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRule:
    """A rule about one device of a request and the devices that name its endpoint.

    rule     the violation's name
    applies  to which kinds, by their nature
    broken   what is wrong, in words; nothing: the rule is kept
    decides  once it is broken nothing else is looked at
    """

    rule: str
    applies: Callable[[Nature], bool]
    broken: Callable[[AskedDevice], Sequence[str]]
    decides: bool = False


# fmt: off
DEVICE_RULES: Final = (
    DeviceRule(rule="smart_device",     applies=_every,   broken=_not_smart, decides=True),
    DeviceRule(rule="head_end",         applies=_every,   broken=_elsewhere, decides=True),
    DeviceRule(rule="eligible_command", applies=_every,   broken=_incapable),
    DeviceRule(rule="install_state",    applies=_changes, broken=_installed_otherwise),
    DeviceRule(rule="endpoint",         applies=_changes, broken=_shared_endpoint),
    DeviceRule(rule="protected",        applies=_opens,   broken=_protected),
)
# fmt: on


def lanes_of(request: CommandRequest, targets: Sequence[Target] = ()) -> tuple[str, ...]:
    """What this command holds alone while it is open: one switch order, one of a kind per meter,
    whatever device names the meter (I7)."""
    if request.flow.scope is not Scope.METER and len(request.devices) != 1:
        return ()
    family = _SWITCH if request.kind in SWITCH_KINDS else request.kind.value
    return _lanes(family, request.devices[0], [target.endpoint for target in targets])


def switch_lanes(device: Device) -> tuple[str, ...]:
    """What a switch order of the device holds, and one of any other that names its endpoint."""
    return _lanes(_SWITCH, device.id, [] if device.endpoint is None else [device.endpoint])


_SWITCH: Final = "switch"


def _lanes(family: str, device: DeviceId, endpoints: Sequence[EndpointId]) -> tuple[str, ...]:
    return (f"{family}:{device}", *(f"{family}@{endpoint_key(each)}" for each in endpoints))


def may_dispatch(
    request: CommandRequest,
    activity: Activity,
    view: DeviceView | None,
    policy: SwitchPolicy,
    *,
    now: datetime,
    target: Target | None = None,
    holders: Sequence[DeviceView] = (),
    head_end: str = THIS_HEAD_END,
) -> Violation | None:
    """The last look before a request leaves (I8); None lets it go. Not-after is `expires_at`.

    Not asked for a look (StepKind.SETTLE): what became of an order is learned past its expiry too.
    `target` is whom the request would go to, `holders` the devices that name this endpoint now.
    """
    leaving = Departure(
        request=request,
        activity=activity,
        policy=policy,
        now=now,
        view=view,
        target=target,
        holders=holders,
        head_end=head_end,
    )
    return _first_broken(leaving, DISPATCH_RULES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """A request that is about to leave, and what is known of whom it would go to."""

    request: CommandRequest
    activity: Activity
    policy: SwitchPolicy
    now: datetime
    view: DeviceView | None = None
    target: Target | None = None
    holders: Sequence[DeviceView] = ()
    head_end: str = THIS_HEAD_END


def _first_broken(leaving: Departure, rows: Iterable["DispatchRule"]) -> Violation | None:
    for row in rows:
        text = row.broken(leaving) if row.applies(leaving.request.nature) else ""
        if text:
            return Violation(rule=row.rule, text=text)
    return None


def _expired(leaving: Departure) -> str:
    return "the command has expired" if leaving.activity.expires_at <= leaving.now else ""


def _too_early(leaving: Departure) -> str:
    effective_at = leaving.request.effective_at
    early = effective_at is not None and leaving.now < effective_at
    return "its effective date has not come" if early else ""


def _moved(leaving: Departure) -> str:
    """The endpoint of a device may be corrected while a command waits: it is not for that one."""
    view, target = leaving.view, leaving.target
    if view is None or target is None:
        return ""
    now = view.device.endpoint
    if now is not None and endpoint_key(now) == endpoint_key(target.endpoint):
        return ""
    return f"{view.device.id} has another endpoint by now ({now}, not {target.endpoint})"


def _at_another_place(leaving: Departure) -> str:
    """A meter may be moved while a command waits: the command is not for who has it then."""
    view, meant = leaving.view, leaving.activity.service_point
    if view is None or meant is None or view.stands_at == meant:
        return ""
    place = f"at {view.stands_at}" if view.stands_at is not None else "nowhere"
    return f"{view.device.id} stands {place} by now, and this command is for {meant}"


def _shared_by_now(leaving: Departure) -> str:
    if leaving.view is None or leaving.target is None:
        return ""
    return "".join(_shared(leaving.view, leaving.holders))


def _elsewhere_by_now(leaving: Departure) -> str:
    return "" if leaving.view is None else _at_another(leaving.view.device, leaving.head_end)


def _unknown(leaving: Departure) -> str:
    return "nobody can tell whether it is protected" if leaving.view is None else ""


def _protected_by_now(leaving: Departure) -> str:
    return "" if leaving.view is None else _protection(leaving.view)


def _unapproved(leaving: Departure) -> str:
    approved = leaving.activity.approved_by is not None
    return "not approved" if leaving.policy.needs_approval and not approved else ""


def _outside_window(leaving: Departure) -> str:
    inside = in_window(leaving.policy, now=leaving.now)
    return "" if inside else "outside the hours for disconnects"


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchRule:
    """A rule for the last look; the first that is broken keeps the request."""

    rule: str
    applies: Callable[[Nature], bool]
    broken: Callable[[Departure], str]


# fmt: off
DISPATCH_RULES: Final = (
    DispatchRule(rule="not_after",      applies=_every,   broken=_expired),
    DispatchRule(rule="effective_at",   applies=_every,   broken=_too_early),
    DispatchRule(rule="head_end",       applies=_changes, broken=_elsewhere_by_now),
    DispatchRule(rule="endpoint",       applies=_changes, broken=_moved),
    DispatchRule(rule="endpoint",       applies=_changes, broken=_shared_by_now),
    DispatchRule(rule="unknown_device", applies=_opens,   broken=_unknown),
    DispatchRule(rule="service_point",  applies=_changes, broken=_at_another_place),
    DispatchRule(rule="protected",      applies=_opens,   broken=_protected_by_now),
    DispatchRule(rule="approval",       applies=_opens,   broken=_unapproved),
    DispatchRule(rule="window",         applies=_opens,   broken=_outside_window),
)
# fmt: on


def in_window(policy: SwitchPolicy, *, now: datetime) -> bool:
    """Whether disconnects may leave now. A window over midnight belongs to the day it opens on."""
    local = now.astimezone(ZoneInfo(policy.time_zone))
    day, clock = local.weekday(), local.time()
    if policy.window is None:
        return day in policy.weekdays
    opens, closes = policy.window
    if opens <= closes:
        return opens <= clock < closes and day in policy.weekdays
    if clock < closes:
        return (day - 1) % 7 in policy.weekdays
    return clock >= opens and day in policy.weekdays
