"""Validation of commands: shape of the request, rules against the world, guard before a cut.

Three moments, three functions: `check_request` before anything is stored, `judge` on acceptance
and on every retry (fresh facts), `may_dispatch` in the transaction before the first byte.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from adapter.commands.activity import Activity, CommandRequest, Target
from adapter.commands.flows import (
    CLOSING_KINDS,
    OPENING_KINDS,
    READ_KINDS,
    SWITCH_KINDS,
    CommandKind,
    Priority,
    Scope,
)
from adapter.commands.timing import given_in_utc
from adapter.errors import InvalidRequest
from adapter.model.device import DeviceView, InstallEffect, allows, already
from adapter.model.ids import CommandId, EndpointId, endpoint_key

_MAX_DEVICES: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A rule that the request breaks in the world as it is. `rule` is stable."""

    rule: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchPolicy:
    """What bars a disconnect from leaving (I8).

    window          local times between which disconnects may be sent; None: always
    per_hour        at most so many disconnects in any hour; None: no limit
    needs_approval  a second person must approve every disconnect
    """

    window: tuple[time, time] | None = None
    time_zone: str = "UTC"
    weekdays: frozenset[int] = frozenset(range(7))
    per_hour: int | None = None
    needs_approval: bool = False


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


def _check_options(request: CommandRequest) -> None:
    for name in ("check_load", "user_intervention_required"):
        if getattr(request, name) and request.kind not in CLOSING_KINDS:
            raise InvalidRequest(name, f"belongs to {_listed(CLOSING_KINDS)}")
    for name in ("check_switch", "with_read", "emergency_override"):
        if getattr(request, name) and request.kind not in SWITCH_KINDS:
            raise InvalidRequest(name, f"belongs to {_listed(SWITCH_KINDS)}")
    if request.through_fence is not None:
        if request.kind not in CLOSING_KINDS:
            raise InvalidRequest("through_fence", "only a reconnect may pass the fence")
        operator, approver = request.through_fence
        if not operator or not approver or operator == approver:
            raise InvalidRequest("through_fence", "needs two different people")
    if request.idempotency_key is not None and not 1 <= len(request.idempotency_key) <= 200:
        raise InvalidRequest("idempotency_key", "1 to 200 characters")
    if len(request.reference) > 200:
        raise InvalidRequest("reference", "at most 200 characters")


def _listed(kinds: frozenset[CommandKind]) -> str:
    return " and ".join(sorted(kinds))


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
) -> tuple[Violation, ...]:
    """The rules a command breaks in the world as it is now.

    `head_end_kinds` is what the head end can do; `open_commands` maps the lanes this command needs
    to the open command that holds them (duplicates and opposites); `holders` are the devices that
    name an endpoint and are not removed.
    """
    found: list[Violation] = []
    if request.kind not in head_end_kinds:
        found.append(
            Violation(rule="head_end_capability", text=f"the head end cannot {request.kind}")
        )
    for view in views:
        named = view.device.endpoint
        found.extend(_judge_device(request, view, () if named is None else holders.get(named, ())))
    told: set[CommandId] = set()
    for lane, holder in sorted(open_commands.items()):
        if holder not in told:
            told.add(holder)
            text = f"command {holder} is open for {lane}"
            found.append(Violation(rule="open_command", text=text))
    return tuple(found)


def _judge_device(
    request: CommandRequest, view: DeviceView, holders: Sequence[DeviceView]
) -> list[Violation]:
    device = view.device
    if not device.smart:
        return [Violation(rule="smart_device", text=f"{device.id} is not a smart meter")]
    found: list[Violation] = []
    if request.kind.value not in device.capabilities:
        text = f"{device.id} does not support {request.kind}"
        found.append(Violation(rule="eligible_command", text=text))
    effect = request.nature.effect
    if effect is not None and not request.ignore_install_state:
        found.extend(_judge_install(view, effect))
    if effect is not None:
        found.extend(_judge_endpoint(view, holders))
    if request.kind in OPENING_KINDS:
        found.extend(_judge_protection(view))
        for other in _others(view, holders):
            found.extend(_judge_protection(other))
    return found


def _others(view: DeviceView, holders: Sequence[DeviceView]) -> list[DeviceView]:
    return [each for each in holders if each.device.id != view.device.id]


def _judge_endpoint(view: DeviceView, holders: Sequence[DeviceView]) -> list[Violation]:
    """One endpoint is one meter: where two devices name it, nobody can tell whose it is (I7)."""
    others = [each.device.id for each in _others(view, holders)]
    if not others:
        return []
    text = f"endpoint {view.device.endpoint} of {view.device.id} is also that of "
    text += f"{', '.join(others)}: load the right endpoints, or when one of them was removed"
    return [Violation(rule="endpoint", text=text)]


def _judge_install(view: DeviceView, effect: InstallEffect) -> list[Violation]:
    if allows(view.installed, effect):
        return []
    status = view.installed.status if view.installed else "not installed"
    verb = "already is as wanted" if already(view.installed, effect) else "does not allow it"
    text = f"{view.device.id}: install status {status} {verb} ({effect})"
    return [Violation(rule="install_state", text=text)]


def _judge_target(view: DeviceView, target: Target) -> list[Violation]:
    """The endpoint of a device may be corrected while a command waits: it is not for that one."""
    now = view.device.endpoint
    if now is not None and endpoint_key(now) == endpoint_key(target.endpoint):
        return []
    text = f"{view.device.id} has another endpoint by now ({now}, not {target.endpoint})"
    return [Violation(rule="endpoint", text=text)]


def _judge_protection(view: DeviceView) -> list[Violation]:
    """Whoever ignores the install state must know all the same whose electricity it is."""
    point, installed = view.service_point, view.installed
    if point is None or (installed is not None and installed.removed_at is not None):
        text = f"nobody knows where {view.device.id} is, so it may be protected: no disconnect"
        return [Violation(rule="protected", text=text)]
    if point.protected or point.life_support:
        why = "life support" if point.life_support else "protected"
        text = f"service point {point.id} is {why}: no disconnect"
        return [Violation(rule="protected", text=text)]
    return []


def lanes_of(request: CommandRequest, targets: Sequence[Target] = ()) -> tuple[str, ...]:
    """What this command holds alone while it is open: one switch order, one of a kind per meter,
    whatever device names the meter (I7)."""
    if request.flow.scope is not Scope.METER and len(request.devices) != 1:
        return ()
    family = "switch" if request.kind in SWITCH_KINDS else request.kind.value
    endpoints = (endpoint_key(target.endpoint) for target in targets)
    return (f"{family}:{request.devices[0]}", *(f"{family}@{key}" for key in endpoints))


def may_dispatch(
    request: CommandRequest,
    activity: Activity,
    view: DeviceView | None,
    policy: SwitchPolicy,
    *,
    now: datetime,
    target: Target | None = None,
    holders: Sequence[DeviceView] = (),
) -> Violation | None:
    """The last look before a request leaves (I8); None lets it go. Not-after is `expires_at`.

    Not asked for a look (StepKind.SETTLE): what became of an order is learned past its expiry too.
    `target` is whom the request would go to, `holders` the devices that name this endpoint now.
    """
    dated = out_of_time(request, activity, policy, now=now)
    if dated is not None and dated.rule != "window":
        return dated
    if request.nature.effect is not None and view is not None and target is not None:
        unsure = [*_judge_target(view, target), *_judge_endpoint(view, holders)]
        if unsure:
            return unsure[0]
    if request.kind not in OPENING_KINDS:
        return None
    if view is None:
        return Violation(rule="unknown_device", text="nobody can tell whether it is protected")
    if barred := _judge_protection(view):
        return barred[0]
    if policy.needs_approval and activity.approved_by is None:
        return Violation(rule="approval", text="not approved")
    return dated


def out_of_time(
    request: CommandRequest, activity: Activity, policy: SwitchPolicy, *, now: datetime
) -> Violation | None:
    """What forbids to send it now and only now; None: nothing that a clock can tell."""
    if activity.expires_at <= now:
        return Violation(rule="not_after", text="the command has expired")
    if request.effective_at is not None and now < request.effective_at:
        return Violation(rule="effective_at", text="its effective date has not come")
    if request.kind in OPENING_KINDS and not in_window(policy, now=now):
        return Violation(rule="window", text="outside the hours for disconnects")
    return None


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
