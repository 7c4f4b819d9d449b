"""A command in progress: an exchange moved, or its time came; settle, try again, go on or end."""

from dataclasses import replace

from adapter.commands import acceptance, accounts, communication, ending, steps
from adapter.commands.activity import Exchange, ExchangeState, Failure, State, StepKind, Verdict
from adapter.commands.calls import RemoteResult
from adapter.commands.course import Course
from adapter.commands.events import Dispatched, ExchangeEvent, LateNotified, OutcomeReceived
from adapter.commands.flows import Tells
from adapter.commands.timing import after, next_try
from adapter.errors import Forbidden

S = State


def exchange_moved(course: Course, event: ExchangeEvent) -> None:
    """Something happened to one exchange. Raises Forbidden for a send past the expiry."""
    exchange = course.command.exchange(event.exchange)
    moved = communication.step(exchange, event, now=course.now, policy=course.policy)
    looks = exchange.step is StepKind.SETTLE
    if isinstance(event, Dispatched) and course.expired and not looks:
        raise Forbidden(f"{course.command.id} has expired: nothing more is sent")
    course.put(moved)
    if exchange.state.final:
        return
    if communication.conflicted(moved) and not communication.conflicted(exchange):
        course.alarm(f"token_conflict.{moved.id}", "two tokens claim one request")
    if isinstance(event, OutcomeReceived) and moved.state is ExchangeState.COMPLETED:
        many = steps.for_many(course.command.request)
        if many and moved.step is StepKind.MAIN:
            course.book(accounts.answered(course.command, moved, event.outcome))
    review(course)


def review(course: Course) -> None:
    """After an exchange moved: settle, retry, go on, or wait for the others."""
    if course.activity.state not in (S.COMMUNICATION_IN_PROGRESS, S.CANCELLING):
        return
    _settle(course)
    for exchange in steps.current(course.command):
        if exchange.state is ExchangeState.FAILED:
            _try_again(course, exchange)
        elif exchange.state is ExchangeState.COMPLETED:
            _business_retry(course, exchange)
    current = steps.current(course.command)
    if current and all(item.state.final for item in current):
        _step_over(course, current)


def _settle(course: Course) -> None:
    """A look at the switch is over: does it tell what became of the unclear order?"""
    unclear = steps.unclear(course.command)
    looks = steps.open_looks(course.command)
    if unclear is None:
        for look in looks:  # moot: the order's fate is known, or followed again
            known = look if look.state.final else communication.withdraw(look)
            course.put(replace(known, superseded=True))
        return
    if not looks or any(not item.state.final for item in looks):
        return
    for look in looks:
        course.put(replace(look, superseded=True))
    seen = looks[-1].switch
    course.set(switch_state=seen or course.activity.switch_state)
    before = course.activity.switch_before
    request = course.command.request
    if seen in steps.wanted_switch(request) and before in steps.opposite_switch(request):
        course.put(
            replace(
                unclear,
                state=ExchangeState.COMPLETED,
                wake=None,
                inferred=True,
                acted_at=course.now,
            )
        )
    elif unclear.looks >= course.policy.settle_looks:
        course.put(replace(unclear, state=ExchangeState.UNRESOLVED, wake=None))
    else:
        course.put(replace(unclear, wake=after(course.now, course.policy.settle_s)))


def _try_again(course: Course, exchange: Exchange) -> None:
    cause = exchange.failure.cause if exchange.failure else "unclear"
    if cause not in ("not_sent", "busy"):  # else its own tries are used up
        _resend(course, exchange, cause)


def _business_retry(course: Course, exchange: Exchange) -> None:
    request = course.command.request
    if exchange.endpoint_failure is None or steps.for_many(request):
        return
    if request.nature.tells is not Tells.REACHABLE:
        _resend(course, exchange, exchange.endpoint_failure.value)


def _resend(course: Course, exchange: Exchange, cause: str) -> None:
    """A new attempt under a new exchange, where the failure's row and the policy allow it."""
    if course.activity.state is S.CANCELLING or not steps.may_resend(exchange, cause):
        return
    due = next_try(course.policy.retry, exchange.attempt, now=course.now)
    if due is None or due >= course.activity.expires_at:
        return
    course.put(replace(exchange, superseded=True))
    course.make((steps.again(course.command, exchange, due),))
    course.set(retries=course.activity.retries + 1)


def _step_over(course: Course, current: tuple[Exchange, ...]) -> None:
    if any(item.state is ExchangeState.UNRESOLVED for item in current):
        course.end(S.NEEDS_PERSON, Verdict.UNKNOWN, "the switch order's outcome is not known")
        return
    done = any(item.state is ExchangeState.COMPLETED for item in current)
    if course.activity.canceled_by is not None and not (done and current[0].step is StepKind.MAIN):
        course.end(S.CANCELED, Verdict.CANCELED, _canceled_because(course, current))
        return
    if not done and course.expired and any(map(_cut_short, current)):
        course.end(S.DISCARDED, Verdict.EXPIRED, "expired while in progress")
        return
    optional = current[0].step is StepKind.READ
    if not optional and all(item.state is ExchangeState.CANCELED for item in current):
        failure = current[0].failure
        course.end(S.DISCARDED, Verdict.CANCELED, failure.cause if failure else "canceled")
        return
    verdict = steps.conclude(course.command, current)
    if done and steps.for_many(course.command.request):
        course.book(accounts.broken(course.command))
        verdict = steps.Conclusion()
    course.set(
        switch_state=verdict.switch or course.activity.switch_state,
        switch_before=verdict.switch_before or course.activity.switch_before,
        voltage_present=(
            course.activity.voltage_present
            if verdict.voltage_present is None
            else verdict.voltage_present
        ),
    )
    if verdict.stop is not None:
        course.end(S.DISCARDED, Verdict.FAILED, verdict.reason)
    elif verdict.cause is not None and course.activity.canceled_by is not None:
        reason = f"{verdict.reason}; the cancel came too late"
        course.end(S.DISCARDED, Verdict.FAILED, reason)
    elif verdict.cause is not None:
        course.error(verdict.reason)
    elif verdict.satisfied:
        course.set(verdict=Verdict.ALREADY_SATISFIED)
        ending.complete(course)
    else:
        too_late = "the cancel came too late" if course.activity.canceled_by else ""
        course.set(verdict=verdict.verdict, reason=verdict.reason or too_late)
        course.set(steps_done=(*course.activity.steps_done, current[0].step))
        course.to(S.CONNECTION_READY)
        acceptance.next_step(course)


def _canceled_because(course: Course, current: tuple[Exchange, ...]) -> str:
    by = f"canceled by {course.activity.canceled_by}"
    told = all(x.state is not ExchangeState.FAILED or steps.proves_idle(x) for x in current)
    return by if told else f"{by}; whether the head end acted is not known"


def exchanges_due(course: Course) -> None:
    """Time-outs of exchanges, the look at an unclear switch order, the command's expiry."""
    for exchange in course.command.exchanges:
        moved = communication.overdue(exchange, now=course.now, policy=course.policy)
        if moved is not exchange:
            course.put(moved)
    unclear = steps.unclear(course.command)
    if unclear is not None and unclear.wake is not None and unclear.wake <= course.now:
        course.put(replace(unclear, wake=None, looks=unclear.looks + 1))
        course.make(steps.look(course.command, unclear, course.policy, now=course.now))
    if course.expired and course.activity.state is not S.CANCELLING:
        _expire(course)
    review(course)


def _expire(course: Course) -> None:
    """Give up what is not sent, and what is no switch order; what is done stays done."""
    for exchange in course.command.exchanges:
        if stops_at_expiry(exchange):
            why = Failure(cause="expired")
            course.put(communication.withdraw(exchange, why))


def late_notice(course: Course, event: LateNotified) -> None:
    """A late success of a switch order that was given up: the world may differ from ours."""
    course.set(late=course.activity.late + 1)
    exchange = course.command.exchange(event.exchange)
    given_up = exchange.state is not ExchangeState.COMPLETED
    done = event.status.result is RemoteResult.SUCCESS
    if steps.moves_switch(exchange) and given_up and done:
        text = "the head end reports success for an order that was given up"
        course.alarm(f"late.{course.activity.late}", text)


def stops_at_expiry(exchange: Exchange) -> bool:
    """Not what is being sent: its reply is near, and may be the whole answer."""
    if exchange.step is StepKind.SETTLE or exchange.state.final:
        return False
    if exchange.state is ExchangeState.SENDING:
        return False
    return exchange.state is ExchangeState.QUEUED or not steps.moves_switch(exchange)


def _cut_short(exchange: Exchange) -> bool:
    """Whether it was withdrawn here, not canceled at the head end."""
    there = exchange.failure is not None and exchange.failure.cause == "canceled_there"
    return exchange.state is ExchangeState.CANCELED and not there
