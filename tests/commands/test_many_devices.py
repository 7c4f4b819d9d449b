"""Requests for many: split and joined, one outcome for each endpoint, sums that agree (I16)."""

# A command moves between two looks at it, which mypy does not expect of a property.
# mypy: disable-error-code="comparison-overlap, unreachable"

from typing import Any

import pytest

from adapter.commands.activity import CommandRequest, Outcome, Tally
from adapter.commands.calls import (
    EndpointFailure,
    FailureReason,
    HeadEndOutcome,
    RemoteResult,
    RemoteState,
    SwitchReading,
    SwitchState,
)
from adapter.commands.events import CancelAsked, DiscardAsked, OutcomeReceived, RetryAsked
from adapter.commands.flows import CommandKind, Operation
from adapter.commands.outcomes import EndpointResult, resolve, tally
from adapter.commands.steps import for_many
from adapter.commands.timing import Policy
from adapter.model.ids import EndpointId
from tests.commands.run_to_end import (
    FORGOTTEN,
    PERMANENT_FAULT,
    C,
    Course,
    S,
    X,
    a_command,
    a_status,
)
from tests.support import for_every

MANY = [
    C.ON_DEMAND_READ_SCALAR,
    C.ON_DEMAND_READ_INTERVAL,
    C.MULTI_DEVICE_STATUS_CHECK,
    C.READ_DISCONNECT_STATE,
]
GROUPS = [C.SCHEDULED_READ_SCALAR, C.SCHEDULED_READ_INTERVAL]
SIZE = Policy(max_endpoints=2)


def pinging(devices: int = 5, policy: Policy = SIZE) -> Course:
    return Course(C.MULTI_DEVICE_STATUS_CHECK, devices=devices, policy=policy).accept()


def answered(course: Course, number: int, **answer: Any) -> Course:
    item = course.command.communications[number]
    course.take(item).status(communication=item)
    return course.result(communication=item, **answer)


@pytest.mark.parametrize("kind", MANY)
def test_a_large_request_is_split_and_joined(kind: CommandKind) -> None:
    course = Course(kind, devices=5, policy=SIZE).accept()
    parts = course.command.communications
    assert [len(item.endpoints) for item in parts] == [2, 2, 1]
    asked = [endpoint for item in parts for endpoint in item.endpoints]
    assert asked == [target.endpoint for target in course.command.targets]
    seen = SwitchState.CONNECTED if kind is C.READ_DISCONNECT_STATE else None
    for number in (2, 0):
        answered(course, number, switch=seen)
        assert course.state is S.COMMUNICATION_IN_PROGRESS
    answered(course, 1, switch=seen)
    if course.state is S.WAITING_FOR_MEASUREMENT:
        course.data(found=5)
    course.execute()
    assert (course.state, course.activity.outcome) == (S.COMPLETED, Outcome.SUCCEEDED)
    assert course.activity.tally == Tally(requested=5, succeeded=5)
    assert len(course.outcomes) == 5


def test_an_answer_for_some_is_a_partial_success() -> None:
    course = pinging()
    answered(course, 0, failed={"E0": FailureReason.NO_RESPONSE})
    answered(course, 1)
    answered(course, 2)
    assert course.activity.outcome is Outcome.PARTIAL
    assert course.activity.tally == Tally(requested=5, succeeded=4, failed=1)
    assert course.outcomes[EndpointId("E0")].reason == "NoResponse"


def test_a_part_of_one_that_fails_is_counted_once_and_not_sent_again() -> None:
    course = Course(C.ON_DEMAND_READ_SCALAR, devices=3, policy=SIZE).accept()
    answered(course, 0)
    answered(course, 1, failed={"E2": FailureReason.NO_RESPONSE})
    assert course.activity.tally == Tally(requested=3, succeeded=2, failed=1)
    assert course.state is S.WAITING_FOR_MEASUREMENT


def test_a_status_check_that_reaches_nobody_is_an_answer() -> None:
    course = pinging(2)
    answered(course, 0, failed={"E0": FailureReason.NO_RESPONSE, "E1": FailureReason.NO_RESPONSE})
    assert (course.state, course.activity.outcome) == (S.COMPLETED, Outcome.UNREACHABLE)


def test_a_status_check_that_tells_nothing_is_unknown_and_not_down() -> None:
    course = pinging(2)
    answered(course, 0, result=RemoteResult.UNKNOWN)
    assert (course.state, course.activity.outcome) == (S.COMPLETED, Outcome.UNKNOWN)


@pytest.mark.parametrize("how", ["refused", "unsent", "forgotten"])
def test_a_part_that_fails_leaves_the_others_what_they_are(how: str) -> None:
    course = pinging(4)
    answered(course, 0)
    first = course.command.communications[1]
    if how == "refused":
        course.send(first).refused(PERMANENT_FAULT, first)
    elif how == "unsent":
        course.in_vain(first)
        assert course.now == course.activity.expires_at
    else:
        for _ in range(SIZE.retry.attempts):
            course.take(course.last).ask_failed(FORGOTTEN)
    assert (course.state, course.activity.outcome) == (S.COMPLETED, Outcome.PARTIAL)
    lost = EndpointResult.UNKNOWN if how == "forgotten" else EndpointResult.FAILED
    assert {course.outcomes[EndpointId(e)].result for e in ("E2", "E3")} == {lost}
    assert course.activity.tally.succeeded == 2


def test_two_parts_lost_at_once_are_both_sent_again() -> None:
    course = pinging(4)
    for item in course.command.communications:
        course.send(item)
    course.turn(course.policy.send_s)
    again = [item for item in course.command.communications if not item.superseded]
    assert [(item.attempt, item.state) for item in again] == [(2, X.QUEUED), (2, X.QUEUED)]


def test_nothing_is_counted_twice_when_people_order_another_try() -> None:
    course = Course(C.ON_DEMAND_READ_SCALAR, devices=4, policy=SIZE).accept()
    course.lose_all()
    assert course.state is S.COMMUNICATION_ERROR
    course.tell(RetryAsked(by="a"))
    for number in (-2, -1):
        answered(course, number)
    course.data(found=4).execute()
    assert course.activity.tally == Tally(requested=4, succeeded=4)


@for_every("kind", MANY)
@for_every("end", ["expired", "unsent", "canceled", "refused", "discarded"])
def test_everybody_has_an_outcome_however_it_ends(kind: CommandKind, end: str) -> None:
    course = Course(kind, devices=5, policy=SIZE).accept()
    if end == "expired":
        course.take(course.command.communications[0]).turn(4 * 3_600.0)
        assert course.activity.outcome is Outcome.EXPIRED
        assert course.outcomes[EndpointId("E0")].result is EndpointResult.UNKNOWN
        assert course.outcomes[EndpointId("E4")].result is EndpointResult.FAILED
    elif end == "unsent":
        course.in_vain()
        assert course.activity.outcome is Outcome.EXPIRED
        assert {row.result for row in course.outcomes.values()} == {EndpointResult.FAILED}
    elif end == "canceled":
        course.tell(CancelAsked(by="clerk"))
        assert course.state is S.CANCELED
    elif end == "refused":
        for item in course.command.communications:
            course.send(item).refused(PERMANENT_FAULT, item)
        assert course.state is S.DISCARDED
    else:
        course.lose_all().tell(DiscardAsked(by="clerk"))
    assert course.activity.tally.requested == 5
    assert len(course.outcomes) == 5


def test_what_was_done_before_the_expiry_stays_done() -> None:
    course = pinging(4)
    answered(course, 0)
    course.turn(4 * 3_600.0)
    assert (course.state, course.activity.outcome) == (S.COMPLETED, Outcome.PARTIAL)
    assert course.activity.tally == Tally(requested=4, succeeded=2, failed=2)


def test_what_was_done_before_the_cancel_stays_done() -> None:
    course = pinging(4)
    answered(course, 0)
    course.send(course.command.communications[1]).tell(CancelAsked(by="clerk"))
    course.not_sent(course.command.communications[1])
    assert (course.state, course.activity.outcome) == (S.COMPLETED, Outcome.PARTIAL)


# ---------------------------------------------------------------- data of many


def reading(devices: int = 4) -> Course:
    return Course(C.ON_DEMAND_READ_SCALAR, devices=devices).accept()


def test_an_endpoint_whose_data_never_came_is_missing() -> None:
    course = answered(reading(), 0)
    course.data(found=3, missing=1)
    assert course.state is S.WAITING_FOR_MEASUREMENT
    course.turn(course.policy.measurement_s)
    course.data(found=3, missing=1).execute()
    assert course.activity.outcome is Outcome.PARTIAL
    assert course.activity.tally == Tally(requested=4, succeeded=3, missing=1)
    assert course.outcomes[EndpointId("E3")].result is EndpointResult.MISSING


def test_data_prove_what_a_cut_list_left_open() -> None:
    course = reading()
    item = course.last
    outcome = HeadEndOutcome(
        result=RemoteResult.FAILURE,
        truncated=True,
        failures=(EndpointFailure(endpoint=EndpointId("E3"), reason=FailureReason.NO_RESPONSE),),
    )
    course.take().status()
    course.tell(OutcomeReceived(communication=item.id, outcome=outcome))
    assert course.state is S.WAITING_FOR_MEASUREMENT
    assert course.activity.tally == Tally(requested=4, failed=1, unknown=3)
    course.turn(course.policy.measurement_s)
    course.data(found=2, missing=1).execute()
    assert course.activity.tally == Tally(requested=4, succeeded=2, failed=1, missing=1)
    assert course.outcomes[EndpointId("E0")].result is EndpointResult.SUCCEEDED


def test_a_read_of_which_everybody_failed_waits_for_no_data() -> None:
    course = reading(2)
    no = FailureReason.NO_RESPONSE
    answered(course, 0, failed={"E0": no, "E1": no})
    assert (course.state, course.activity.outcome) == (S.DISCARDED, Outcome.FAILED)


def test_no_data_at_all_is_counted_as_missing() -> None:
    course = answered(reading(), 0)
    course.turn(course.policy.measurement_s)
    course.data(found=0, missing=4)
    assert (course.state, course.activity.outcome) == (S.DISCARDED, Outcome.NO_DATA)
    assert course.activity.tally == Tally(requested=4, missing=4)


# ---------------------------------------------------------------- groups


@pytest.mark.parametrize("kind", GROUPS)
def test_a_group_is_asked_for_by_name_in_one_request(kind: CommandKind) -> None:
    course = Course(kind, devices=5, policy=SIZE).accept()
    assert len(course.command.communications) == 1
    assert len(course.last.endpoints) == 5
    answered(course, 0, failed={"E1": FailureReason.NO_RESPONSE})
    assert course.activity.tally == Tally(requested=5, succeeded=4, failed=1)


@pytest.mark.parametrize("kind", GROUPS)
def test_of_a_group_of_strangers_the_head_ends_own_counts_are_kept(kind: CommandKind) -> None:
    course = Course(kind, devices=0).accept()
    course.take().status(scheduled=40, succeeded=38, failed=2).result()
    assert course.activity.tally == Tally(requested=40, succeeded=38, failed=2)
    course.data(found=0, missing=0).execute()
    assert (course.state, course.activity.outcome) == (S.COMPLETED, Outcome.PARTIAL)


def test_a_request_for_nobody_ends() -> None:
    empty = Course(C.ON_DEMAND_READ_SCALAR, devices=0)
    empty.accept()
    assert (empty.state, empty.activity.outcome) == (S.DISCARDED, Outcome.FAILED)


# ---------------------------------------------------------------- resolve

ENDS = tuple(EndpointId(f"E{n}") for n in range(4))
PING, SWITCH = Operation.PING, Operation.SWITCH_STATE
NO = FailureReason.NO_RESPONSE


def results(
    operation: Operation, outcome: HeadEndOutcome, counts: tuple[int, int, int] | None = None
) -> str:
    status = None
    if counts is not None:
        scheduled, succeeded, failed = counts
        status = a_status(
            "cmd-1",  # type: ignore[arg-type]
            RemoteState.COMPLETED,
            scheduled=scheduled,
            succeeded=succeeded,
            failed=failed,
        )
    rows = resolve(operation, ENDS, outcome, status)
    assert [row.endpoint for row in rows] == list(ENDS)
    return "".join(row.result.value[0] for row in rows)


def outcome_of(result: RemoteResult, failed: int = 0, truncated: bool = False) -> HeadEndOutcome:
    rows = tuple(EndpointFailure(endpoint=item, reason=NO) for item in ENDS[:failed])
    return HeadEndOutcome(result=result, failures=rows, truncated=truncated)


R = RemoteResult


@pytest.mark.parametrize(
    ("outcome", "counts", "expected"),
    [
        (outcome_of(R.SUCCESS), None, "ssss"),
        (outcome_of(R.SUCCESS, failed=1), None, "fsss"),
        (outcome_of(R.FAILURE, failed=2), None, "ffss"),
        (outcome_of(R.FAILURE), None, "uuuu"),
        (outcome_of(R.UNKNOWN), None, "uuuu"),
        (outcome_of(R.CANCELED, failed=1), None, "fuuu"),
        (outcome_of(R.SUCCESS, failed=1, truncated=True), None, "fuuu"),
        (outcome_of(R.FAILURE, failed=1, truncated=True), (4, 3, 1), "fsss"),
        (outcome_of(R.FAILURE, failed=1, truncated=True), (4, 2, 2), "fuuu"),
        (outcome_of(R.FAILURE, failed=1, truncated=True), (0, 0, 0), "fuuu"),
        (outcome_of(R.FAILURE), (4, 4, 0), "ssss"),
    ],
)
def test_who_is_not_listed_succeeded_only_where_the_answer_accounts_for_everyone(
    outcome: HeadEndOutcome, counts: tuple[int, int, int] | None, expected: str
) -> None:
    assert results(PING, outcome, counts) == expected


def test_a_switch_state_that_is_not_there_is_missing_or_unknown_where_the_list_was_cut() -> None:
    rows = (SwitchReading(endpoint=ENDS[1], state=SwitchState.ARMED),)
    assert results(SWITCH, HeadEndOutcome(result=R.SUCCESS, switches=rows)) == "msmm"
    assert (
        results(SWITCH, HeadEndOutcome(result=R.SUCCESS, switches=rows, truncated=True)) == "usuu"
    )


def test_whoever_has_no_row_is_unknown_so_that_the_sums_agree() -> None:
    rows = resolve(PING, ENDS[:2], outcome_of(R.SUCCESS), None)
    assert tally(5, rows) == Tally(requested=5, succeeded=2, unknown=3)


def test_outcomes_are_kept_by_endpoint_for_groups_and_for_several_devices() -> None:
    def asks(kind: CommandKind, devices: int) -> CommandRequest:
        return a_command(kind, devices=devices).request

    assert for_many(asks(C.SCHEDULED_READ_SCALAR, 1))
    assert for_many(asks(C.ON_DEMAND_READ_SCALAR, 2))
    assert not for_many(asks(C.ON_DEMAND_READ_SCALAR, 1))
