"""Whether the clocks agree, and what is put right of a command, as pure functions."""

from datetime import timedelta

import pytest

from adapter.commands.clock_correction import corrected
from adapter.commands.clocks import ClockPolicy, Reference, may_still_be_off, off_by_s
from adapter.commands.flows import CommandKind
from adapter.commands.timing import POLICIES
from adapter.engine.sortable_ids import SortableIds
from adapter.model.values import replace
from tests.builders import at
from tests.commands.run_to_end import NOON, a_command
from tests.support import for_every

POLICY = ClockPolicy(tolerance_s=60.0, longest_stop_s=86_400.0)
RUNNING = Reference(at=NOON, elapsed_s=0.0)
STARTED = Reference(at=NOON, elapsed_s=0.0, stop_s=POLICY.longest_stop_s)
DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("reference", "shown_s", "elapsed_s", "off"),
    [
        (RUNNING, 100.0, 100.0, 0.0),
        (RUNNING, 159.0, 100.0, 0.0),
        (RUNNING, 41.0, 100.0, 0.0),
        (RUNNING, 161.0, 100.0, 61.0),
        (RUNNING, 39.0, 100.0, -61.0),
        (STARTED, 0.0, 0.0, 0.0),
        (STARTED, DAY_S, 0.0, 0.0),
        (STARTED, DAY_S + 61.0, 0.0, DAY_S + 61.0),
        (STARTED, DAY_S + 100.0, 100.0, 0.0),
        (STARTED, -61.0, 0.0, -61.0),
    ],
)
def test_a_clock_is_off_past_its_tolerance_and_after_a_stop_longer_than_stops_are(
    reference: Reference, shown_s: float, elapsed_s: float, off: float
) -> None:
    assert off_by_s(reference, at(shown_s), elapsed_s=elapsed_s, policy=POLICY) == off


@pytest.mark.parametrize(
    ("reference", "was_off_s", "shown_s", "still"),
    [
        (RUNNING, 3_600.0, 0.0, False),  # taken back while it ran: it was counted
        (RUNNING, -3_600.0, 0.0, False),
        (STARTED, 400 * DAY_S, 600.0, False),  # no stop is as long
        (STARTED, -400 * DAY_S, 600.0, False),
        (STARTED, 3_600.0, 600.0, False),  # the stop would have ended before it began
        (STARTED, 3_600.0, 4_000.0, True),  # an hour of stop, or an hour ahead
        (STARTED, -3_600.0, 600.0, True),
    ],
)
def test_after_a_stop_it_may_be_that_a_clock_that_agrees_is_wrong_as_before(
    reference: Reference, was_off_s: float, shown_s: float, still: bool
) -> None:
    found = may_still_be_off(reference, at(shown_s), was_off_s, elapsed_s=0.0, policy=POLICY)
    assert found is still


@for_every("kind", CommandKind)
@for_every("ahead_s", [400 * DAY_S, 3_600.0])
def test_what_the_gateway_dated_by_a_wrong_clock_follows_from_when_it_was_in_truth(
    kind: CommandKind, ahead_s: float
) -> None:
    right = a_command(kind)
    shift = timedelta(seconds=ahead_s)
    activity = right.activity
    wrong = replace(
        right,
        activity=replace(
            activity,
            created_at=activity.created_at + shift,
            effective_at=activity.effective_at + shift,
            expires_at=activity.expires_at + shift,
        ),
    )
    policy = POLICIES[kind]
    made = corrected(wrong, now=NOON, ahead_s=ahead_s, by_wrong_clock=True, policy=policy)
    assert made.activity.created_at == activity.created_at
    assert made.activity.effective_at == activity.created_at
    lasts = made.activity.expires_at - made.activity.effective_at
    assert lasts == timedelta(seconds=policy.expires_s)
    again = corrected(made, now=NOON, ahead_s=ahead_s, by_wrong_clock=False, policy=policy)
    assert again == made


@pytest.mark.parametrize("kind", CommandKind)
def test_what_people_dated_stays(kind: CommandKind) -> None:
    given = a_command(kind)
    dated = replace(
        given.request,
        effective_at=NOON + timedelta(days=20),
        expires_at=NOON + timedelta(days=21),
    )
    activity = replace(
        given.activity,
        created_at=NOON + timedelta(days=400),
        effective_at=NOON + timedelta(days=400),
        expires_at=NOON + timedelta(days=21),
    )
    command = replace(given, request=dated, activity=activity)
    made = corrected(
        command, now=NOON, ahead_s=400 * DAY_S, by_wrong_clock=False, policy=POLICIES[kind]
    )
    assert made.activity.effective_at == dated.effective_at
    assert made.activity.expires_at == dated.expires_at


def test_ids_sort_in_the_order_of_acceptance_though_the_clock_goes_back() -> None:
    entropy = iter(range(100, 0, -1))
    ids = SortableIds(lambda: next(entropy))
    made = [ids.next(at(seconds)) for seconds in (0, 0, 1, 1, 2, 2, -3_600, -3_599, 5, 5)]
    assert made == sorted(set(made))
    after = SortableIds(lambda: 0)
    after.after(made[-1])
    assert after.next(at(-DAY_S)) > made[-1]
