"""What a crew is told: what the order wants, which row decided, which command failed and how."""

import json
from pathlib import Path
from typing import Any

from adapter.commands.calls import FailureReason
from adapter.engine.orders.field_work import FieldMessage
from adapter.fieldwork.messages import message_json, read_message
from adapter.model.values import replace
from adapter.orders.field_activity_events import MessageKind
from adapter.orders.order import ChildFact, ChildState, OrderKind, OrderState
from adapter.orders.visit_reason import MOST_TOLD, WANTS, earlier_work
from adapter.simulator.faults import Effect
from tests.engine.commands.quick_site import script
from tests.engine.orders.site_with_orders import Place, rig, titles
from tests.orders.builders import a_child

CUT: dict[str, object] = {
    "orders": {
        "orchestration": {
            "cut": [
                {
                    "type": "D1-UPDDVC",
                    "name": "Cut after a try",
                    "field_activity_bo": "D1-FieldActivity",
                    "error_if_missing": "Nothing",
                    "alternative_after": 1,
                    "rows": [
                        "installationEventStatusOverride=Conn-Comm "
                        "activityBOToCreate=D1-RemoteDisconnect "
                        "alternativeFieldTask=D1-CutForNonPayment"
                    ],
                }
            ]
        }
    }
}


def told(message: FieldMessage) -> dict[str, Any]:
    raw = message_json(message)
    assert read_message(raw) == message
    made: dict[str, Any] = json.loads(raw)
    return made


async def test_a_crew_that_follows_a_failed_command_is_told_which_and_how(tmp_path: Path) -> None:
    unable = script(
        Effect.ENDPOINT_FAILURE, "DisconnectMeter", reason=FailureReason.OPERATION_NOT_SUPPORTED
    )
    async with rig(tmp_path, unable, rules=CUT) as made:
        place = await made.put(Place(number=1))
        shown = await made.ended((await made.submit(OrderKind.CUT, place)).id)
        assert titles(shown) == "RemoteDisconnect > CutForNonPayment"
        assert shown.order.state is OrderState.COMPLETED
        tried, visit = shown.children
        (message,) = (each for each in made.crew.heard if each.kind is MessageKind.DISPATCH)
        said = told(message)
        assert said["activity"] == visit.fact.id
        assert said["why"] == {
            "wants": "supply is to be cut",
            "cell": 1,
            "type": "D1-UPDDVC",
            "algorithm": "Cut after a try",
            "row": "parameter row 1",
            "note": "D1-RemoteDisconnect failed 1 times",
        }
        (before,) = said["history"]
        assert before.pop("endedAt") is not None
        assert before == {
            "child": tried.fact.id,
            "does": "D1-RemoteDisconnect",
            "state": "failed",
            "reason": "OperationNotSupported: this meter cannot do it",
            "device": place.device,
            "command": tried.command,
            "algorithm": "Cut after a try",
            "row": "parameter row 1",
        }


async def test_a_first_visit_has_a_reason_and_no_history(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=1))
        await made.ended((await made.submit(OrderKind.EXCHANGE, place)).id)
        said = told(made.crew.heard[0])
        assert said["history"] == []
        assert said["why"]["wants"] == WANTS[OrderKind.EXCHANGE]
        assert (said["why"]["type"], said["why"]["cell"]) == ("D1-CREMTREXC", 2)


def test_every_kind_of_order_says_what_it_wants() -> None:
    assert set(WANTS) == set(OrderKind)


def failed(number: int, state: ChildState, reason: str) -> ChildFact:
    return replace(a_child("D1-RemoteDisconnect", number, state), reason=reason)


def test_no_text_that_people_typed_or_a_head_end_sent_reaches_a_crew() -> None:
    visit = a_child("D1-FieldActivity", 9, ChildState.QUEUED, task="D1-TurnOffMeter")
    before = [
        failed(1, ChildState.CANCELED, "Mrs. Smith has paid"),
        failed(2, ChildState.FAILED, "refused: Denied: http://gateway/openway/status/x/0123abc"),
        failed(3, ChildState.DISCARDED, "CM-NoAccess"),
        failed(4, ChildState.TIMED_OUT, "customer Smith: no answer"),
        failed(5, ChildState.COMPLETED, "NoResponse: it said so"),
    ]
    found = earlier_work(visit, [(each, None) for each in (*before, visit)])
    assert [each.reason for each in found] == [
        "",
        "refused: the head end refused the request",
        "CM-NoAccess",
        "its time was over",
        "",
    ]


def test_a_long_history_is_told_by_its_end() -> None:
    visit = a_child("D1-FieldActivity", 99, ChildState.QUEUED, task="D1-TurnOffMeter")
    many = [failed(number, ChildState.FAILED, "") for number in range(1, 60)]
    found = earlier_work(visit, [(each, None) for each in reversed(many)])
    assert [each.child for each in found] == [many[n].id for n in range(59 - MOST_TOLD, 59)]
