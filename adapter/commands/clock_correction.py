"""What a wrong clock has written into a command, put right once the clock is.

What people dated stays as it is. What the gateway dated itself is either shifted, where it is known
to be the wrong clock's, or cut to the longest wait that the policy knows: nothing waits for a time
that was never meant.
"""

from datetime import datetime, timedelta

from adapter.commands.activity import Activity, Command, Communication, Work
from adapter.commands.timing import Policy, after
from adapter.model.values import replace_struct as replace


def corrected(
    command: Command, *, now: datetime, ahead_s: float, by_wrong_clock: bool, policy: Policy
) -> Command:
    """`by_wrong_clock`: it was accepted by a clock that was `ahead_s` seconds ahead."""
    made = _created(command.activity.created_at, now, ahead_s, by_wrong_clock)
    activity = command.activity
    if made != activity.created_at:
        activity = _accepted_at(made, command, policy)
    activity = _waits(activity, now, policy)
    communications = tuple(
        each if each.state.final else _communication(each, now, ahead_s, policy)
        for each in command.communications
    )
    return replace(command, activity=activity, communications=communications)


def shifted(at: datetime, now: datetime, ahead_s: float) -> datetime:
    """When it was in truth, of what a wrong clock has dated; never after now."""
    return min(at - timedelta(seconds=ahead_s), now)


def _created(at: datetime, now: datetime, ahead_s: float, by_wrong_clock: bool) -> datetime:
    return shifted(at, now, ahead_s) if by_wrong_clock or at > now else at


def _accepted_at(made: datetime, command: Command, policy: Policy) -> Activity:
    """As if it had been accepted then: what the request does not date follows from it."""
    request = command.request
    effective = max(request.effective_at or made, made)
    return replace(
        command.activity,
        created_at=made,
        effective_at=effective,
        expires_at=request.expires_at or after(effective, policy.expires_s),
    )


def _waits(activity: Activity, now: datetime, policy: Policy) -> Activity:
    longest = max(policy.retry.longest_wait_s, policy.poll_every_s)
    return replace(
        activity,
        hold_until=_no_later(activity.hold_until, now, policy.hold_s),
        retry_at=_no_later(activity.retry_at, now, longest),
        window_until=_no_later(activity.window_until, now, policy.measurement_s),
        completions=tuple(
            replace(each, at=min(each.at, now)) if each.id == _next(activity) else each
            for each in activity.completions
        ),
    )


def _next(activity: Activity) -> str | None:
    event = activity.next_completion
    return None if event is None else event.id


def _communication(
    communication: Communication, now: datetime, ahead_s: float, policy: Policy
) -> Communication:
    return replace(
        communication,
        wake=_wake(communication, now, ahead_s, policy),
        deadline=_no_later(communication.deadline, now, policy.reply_s),
        sent_at=_no_later(communication.sent_at, now, 0.0),
        acted_at=_no_later(communication.acted_at, now, 0.0),
    )


def _wake(
    communication: Communication, now: datetime, ahead_s: float, policy: Policy
) -> datetime | None:
    """A call may be made too early by what the clock was ahead; a deadline is only cut."""
    wake = communication.wake
    if wake is None or wake <= now:
        return wake
    if communication.work is Work.NONE:
        return _no_later(wake, now, max(policy.send_s, policy.settle_s))
    longest = max(policy.poll_first_s, policy.poll_longest_s, policy.retry.longest_wait_s)
    early = wake - timedelta(seconds=max(ahead_s, 0.0))
    return _no_later(max(early, now), now, longest)


def _no_later(at: datetime | None, now: datetime, wait_s: float) -> datetime | None:
    return None if at is None else min(at, after(now, wait_s))
