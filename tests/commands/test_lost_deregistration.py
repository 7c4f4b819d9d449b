"""A decommissioning whose first reply was lost: what "not registered" then tells, and what not."""

import pytest

from adapter.commands.activity import Outcome
from adapter.commands.activity import State as S
from adapter.commands.calls import FailureReason, RemoteResult
from adapter.commands.flows import CommandKind
from tests.commands.run_to_end import Course

GONE = (FailureReason.TARGET_NOT_REGISTERED, FailureReason.TARGET_NOT_FOUND)


def begun(kind: CommandKind = CommandKind.DEVICE_DECOMMISSIONING) -> Course:
    return Course(kind).accept().send()


@pytest.mark.parametrize("reason", GONE)
def test_after_a_lost_reply_not_registered_means_done(reason: FailureReason) -> None:
    course = begun().unclear().send().result(RemoteResult.FAILURE, failed={"E0": reason})
    course.execute()
    assert (course.state, course.activity.outcome) == (S.COMPLETED, Outcome.SUCCEEDED_INFERRED)


@pytest.mark.parametrize("reason", GONE)
def test_at_the_first_attempt_not_registered_is_a_failure(reason: FailureReason) -> None:
    course = begun().result(RemoteResult.FAILURE, failed={"E0": reason})
    assert (course.state, course.activity.outcome) == (S.DISCARDED, Outcome.FAILED)


def test_an_attempt_that_never_left_proves_nothing() -> None:
    course = begun().not_sent().send()
    course.result(RemoteResult.FAILURE, failed={"E0": FailureReason.TARGET_NOT_REGISTERED})
    assert course.state is S.DISCARDED


def test_another_failure_after_a_lost_reply_stays_a_failure() -> None:
    course = begun().unclear().send()
    course.result(RemoteResult.FAILURE, failed={"E0": FailureReason.SECURITY_FAILURE})
    assert course.state is S.COMMUNICATION_ERROR


def test_a_commissioning_is_not_done_because_the_meter_is_not_found() -> None:
    course = begun(CommandKind.DEVICE_COMMISSIONING).unclear().send()
    course.result(RemoteResult.FAILURE, failed={"E0": FailureReason.TARGET_NOT_FOUND})
    assert course.state is S.DISCARDED
