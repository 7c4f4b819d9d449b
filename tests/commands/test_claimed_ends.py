"""An end that only a callback tells: it is asked for, and what the head end answers counts."""

from datetime import timedelta
from typing import Final

import pytest

from adapter.commands.activity import Outcome, Work
from adapter.commands.calls import RemoteResult, RemoteState
from adapter.commands.communication import PROMPT_QUESTIONS
from adapter.commands.events import CancelAsked, SendFailed, SendUnclear
from adapter.commands.flows import FLOWS, CommandKind
from tests.commands.run_to_end import UNFINISHED, C, Course, S, X
from tests.support import for_every

ASYNCHRONOUS: Final = [kind for kind in CommandKind if not FLOWS[kind].synchronous]


@for_every("kind", ASYNCHRONOUS)
def test_a_cancellation_told_by_a_callback_is_asked_about_at_once(kind: CommandKind) -> None:
    course = Course(kind).accept().take().status(result=RemoteResult.CANCELED)
    assert course.state is S.COMMUNICATION_IN_PROGRESS
    assert (course.last.state, course.last.work) == (X.AWAITING, Work.STATUS)
    assert course.last.wake == course.now
    assert course.last.status is None, "what nobody confirmed is not what is known"


def test_a_cancellation_that_the_head_end_denies_leaves_the_order_to_its_true_end() -> None:
    course = Course(C.REMOTE_DISCONNECT).accept().take().status(result=RemoteResult.CANCELED)
    course.status(RemoteState.EXECUTING, RemoteResult.PENDING, polled=True)
    assert course.state is S.COMMUNICATION_IN_PROGRESS
    assert course.callback().match == "matched"
    course.status().result().execute()
    assert (course.state, course.activity.outcome) == (S.COMPLETED, Outcome.SUCCEEDED)


def test_a_cancellation_that_the_head_end_confirms_ends_the_command() -> None:
    course = Course(C.REMOTE_DISCONNECT).accept().take().status(result=RemoteResult.CANCELED)
    course.status(result=RemoteResult.CANCELED, polled=True)
    assert (course.state, course.activity.outcome) == (S.DISCARDED, Outcome.CANCELED)


def test_a_cancellation_told_before_the_reply_is_asked_about_under_its_token() -> None:
    course = Course(C.REMOTE_DISCONNECT).accept().send().status(result=RemoteResult.CANCELED)
    assert (course.last.state, course.last.work) == (X.AWAITING, Work.STATUS)
    assert course.last.token is not None
    course.tell(SendUnclear(communication=course.last.id, detail="reset"))
    assert course.state is S.COMMUNICATION_IN_PROGRESS


def test_a_cancellation_told_of_an_order_that_waits_for_its_next_try_is_asked_about() -> None:
    course = Course(C.REMOTE_DISCONNECT).accept().send()
    course.tell(SendFailed(communication=course.last.id, detail="refused"))
    assert course.last.state is X.QUEUED
    course.status(result=RemoteResult.CANCELED)
    assert (course.last.state, course.last.work) == (X.AWAITING, Work.STATUS)


def test_a_cancellation_told_of_an_unclear_order_is_asked_about_and_settles_nothing() -> None:
    course = Course(C.REMOTE_DISCONNECT).accept().send()
    course.tell(SendUnclear(communication=course.last.id, detail="reset"))
    assert course.main.state is X.UNCLEAR
    course.status(result=RemoteResult.CANCELED, communication=course.main)
    assert (course.main.state, course.main.work) == (X.AWAITING, Work.STATUS)


def test_a_cancel_that_people_asked_for_is_sent_whatever_a_callback_claims() -> None:
    course = Course(C.REMOTE_DISCONNECT).accept().take().tell(CancelAsked(by="ann"))
    course.status(result=RemoteResult.CANCELED)
    assert (course.state, course.last.work) == (S.CANCELLING, Work.CANCEL)


@pytest.mark.parametrize("result", [RemoteResult.SUCCESS, RemoteResult.FAILURE])
def test_an_end_that_the_result_disproves_is_forgotten_with_its_time(result: RemoteResult) -> None:
    course = Course(C.REMOTE_DISCONNECT).accept().take()
    forged = course.now - timedelta(hours=5)
    course.status(result=result, finished_at=forged).result(RemoteResult.PENDING)
    assert (course.last.state, course.last.status) == (X.AWAITING, None)
    assert course.last.acted_at is None
    assert course.callback().match == "matched", "the true one is no duplicate of the forged one"
    course.now += timedelta(minutes=1)
    course.status().result()
    (event,) = course.activity.completions
    assert event.at != forged


@pytest.mark.parametrize("told", [RemoteResult.SUCCESS, RemoteResult.CANCELED])
def test_the_true_end_is_asked_for_at_once_after_a_result_that_was_not_there_yet(
    told: RemoteResult,
) -> None:
    course = Course(C.REMOTE_DISCONNECT).accept().take()
    course.status(finished_at=course.now - timedelta(hours=5)).ask_failed(UNFINISHED)
    assert (course.last.state, course.last.status, course.last.acted_at) == (X.FETCHING, None, None)
    assert course.callback().match == "matched"
    course.status(result=told)
    assert (course.last.work, course.last.wake) == (Work.RESULT, course.now)


@pytest.mark.parametrize(
    "result", [RemoteResult.SUCCESS, RemoteResult.FAILURE, RemoteResult.CANCELED]
)
def test_a_flood_of_claimed_ends_asks_a_bounded_number_of_times(result: RemoteResult) -> None:
    course = Course(C.REMOTE_DISCONNECT).accept().take()
    prompt = 0
    for _ in range(100):
        course.status(result=result)
        if course.last.wake != course.now:
            continue
        prompt += 1
        if course.last.work is Work.RESULT:
            course.result(RemoteResult.PENDING)
        else:
            course.status(RemoteState.EXECUTING, RemoteResult.PENDING, polled=True)
    assert prompt == PROMPT_QUESTIONS
    assert (course.last.state, course.last.work) == (X.AWAITING, Work.STATUS)
    course.status(polled=True).result().execute()
    assert course.state is S.COMPLETED
