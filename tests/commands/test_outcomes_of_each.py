"""How each endpoint of a command that has ended came out, as its last event tells."""

import json

from adapter.commands.activity import Command, Outcome, State, Tally
from adapter.commands.effects import Publish
from adapter.commands.flows import CommandKind
from adapter.commands.outcomes import EndpointOutcome, EndpointResult, of_each
from adapter.engine.commands.publications import LARGEST, ends, publications
from adapter.model.ids import EndpointId
from tests.builders import a_command
from tests.support import for_every

END = Publish(name="completed")


def rows(count: int, result: EndpointResult = EndpointResult.SUCCEEDED) -> list[EndpointOutcome]:
    return [
        EndpointOutcome(endpoint=EndpointId(f"2.16.840.1.{number}"), result=result)
        for number in range(count)
    ]


def for_many(count: int) -> Command:
    devices = tuple(f"M{number}" for number in range(count))
    return a_command(
        kind=CommandKind.MULTI_DEVICE_STATUS_CHECK,
        devices=devices,
        state=State.COMPLETED,
        outcome=Outcome.SUCCEEDED,
        tally=Tally(requested=count),
    )


def test_of_several_outcomes_of_an_endpoint_the_last_counts() -> None:
    early, late = rows(3), rows(1, EndpointResult.MISSING)
    assert [each.result for each in of_each(for_many(3), [*early, *late])] == [
        "missing",
        "succeeded",
        "succeeded",
    ]


@for_every(
    "outcome, result",
    [
        (Outcome.SUCCEEDED, "succeeded"),
        (Outcome.ALREADY_SATISFIED, "succeeded"),
        (Outcome.NO_DATA, "missing"),
        (Outcome.UNKNOWN, "unknown"),
        (Outcome.FAILED, "failed"),
        (Outcome.EXPIRED, "failed"),
    ],
)
def test_the_endpoint_of_a_command_for_one_came_out_as_the_command(
    outcome: Outcome, result: str
) -> None:
    command = a_command(state=State.COMPLETED, outcome=outcome, reason="why")
    (only,) = of_each(command, ())
    assert (only.endpoint, only.result, only.reason) == ("E-M-1", result, "why")


def test_what_is_above_64_kib_is_told_by_a_link() -> None:
    for count, inline in ((100, True), (2_000, False)):
        command = for_many(count)
        (event,) = publications(command, [END], rows(count))
        assert (event.data["outcomes"] is not None) is inline
        assert event.data["outcomes_url"] == f"/api/v1/commands/{command.id}/outcomes"
        assert len(json.dumps(event.data)) < LARGEST


def test_only_the_end_of_a_command_for_many_asks_for_what_was_recorded_before() -> None:
    command = for_many(3)
    assert ends(command, [END], rows(1))
    assert not ends(command, [END], rows(3))
    assert not ends(command, [Publish(name="received")], ())
    assert not ends(a_command(), [END], ())
    (event,) = publications(command, [Publish(name="received")])
    assert "outcomes" not in event.data
