"""Clocks of a command: waits double, stop at their cap, and never overflow."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.commands.flows import CommandKind
from adapter.commands.timing import POLICIES, Policy, RetryPolicy, backoff, next_poll, next_try
from tests.commands.example_counts import QUICK
from tests.commands.run_to_end import NOON


def test_every_kind_has_its_clocks() -> None:
    assert set(POLICIES) == set(CommandKind)
    for policy in POLICIES.values():
        assert policy.settle_s >= 900, "an unclear order is listened for at least 15 minutes"
        assert policy.settle_looks >= 1
        assert policy.reply_s > policy.poll_first_s


def test_waits_double_up_to_the_longest_and_end_with_the_attempts() -> None:
    policy = RetryPolicy(attempts=6, first_wait_s=10, longest_wait_s=60)
    waits = [next_try(policy, tries, now=NOON) for tries in range(1, 8)]
    assert waits == [*(NOON + timedelta(seconds=s) for s in (10, 20, 40, 60, 60)), None, None]


def test_a_backoff_has_no_last_try() -> None:
    policy = RetryPolicy(attempts=1, first_wait_s=10, longest_wait_s=60)
    waits = [backoff(policy, tries, now=NOON) for tries in (1, 2, 3, 4, 500)]
    assert waits == [NOON + timedelta(seconds=s) for s in (10, 20, 40, 60, 60)]


def test_polls_begin_with_their_own_wait_and_then_double() -> None:
    policy = Policy(poll_first_s=5, poll_every_s=30, poll_longest_s=100)
    waits = [(next_poll(policy, asked, now=NOON) - NOON).total_seconds() for asked in range(5)]
    assert waits == [5, 30, 60, 100, 100]


@QUICK
@given(st.integers(0, 10**9))
def test_no_number_of_tries_overflows(number: int) -> None:
    policy = Policy(retry=RetryPolicy(attempts=10**10))
    assert next_poll(policy, number, now=NOON) <= NOON + timedelta(seconds=policy.poll_longest_s)
    due = next_try(policy.retry, number, now=NOON)
    assert due is not None
    assert due <= NOON + timedelta(seconds=policy.retry.longest_wait_s)


@pytest.mark.parametrize("asked", [1025, 5000])
def test_a_long_row_of_polls_keeps_its_cap(asked: int) -> None:
    due = next_poll(Policy(), asked, now=NOON)
    assert due == NOON + timedelta(seconds=Policy().poll_longest_s)
