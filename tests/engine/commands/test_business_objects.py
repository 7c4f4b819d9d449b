"""The source's business objects stand on each communication: shown, in the history, published."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapter.commands.activity import CommandRequest, ReadPeriod
from adapter.commands.business_objects import inbound_object
from adapter.commands.effects import Publish
from adapter.commands.flows import FLOWS, CommandKind, Scope
from adapter.demo.demo import DemoSite
from adapter.engine.commands.publications import publications
from adapter.engine.commands.summary import summary
from adapter.model.ids import CommandId
from adapter.simulator.faults import Effect
from tests.engine.commands.quick_site import finish, script, world

K = CommandKind
PERIOD = ReadPeriod(start=datetime(2026, 3, 1, tzinfo=UTC), end=datetime(2026, 3, 2, tzinfo=UTC))


def shown(command: Mapping[str, Any]) -> list[tuple[object, object, object]]:
    given = command["communications"]
    return [(each["outbound"], each["result_outbound"], each["inbound"]) for each in given]


async def told(made: DemoSite, command: CommandId) -> list[tuple[str, object]]:
    """The history: each action that names an object, once, in order."""
    history = await made.app.gateway.commands.history(command)
    named = [
        (entry.note.action, entry.note.detail["business_object"])
        for entry in history
        if "business_object" in entry.note.detail
    ]
    return list(dict.fromkeys(named))


def a_request(kind: CommandKind, made: DemoSite) -> CommandRequest:
    group = FLOWS[kind].scope is Scope.GROUP
    return CommandRequest(
        kind=kind,
        devices=() if group else (made.device(22 if kind is K.REMOTE_CONNECT else 2),),
        group="Substation 1" if group else None,
        period=PERIOD if "read_" in kind and kind is not K.READ_DISCONNECT_STATE else None,
        ignore_install_state=True,
    )


@pytest.mark.parametrize("kind", CommandKind)
async def test_each_command_names_the_objects_of_its_row_of_the_source(
    kind: CommandKind, tmp_path: Path
) -> None:
    async with world(tmp_path) as made:
        flow = FLOWS[kind]
        done = await finish(made, a_request(kind, made))
        outbound = flow.request.business_object
        result = flow.result.business_object if flow.result else None
        assert set(shown(summary(done))) == {(outbound, result, flow.notice)}
        (event,) = publications(done, [Publish(name="completed")])
        assert shown(event.data) == shown(summary(done))
        named = await told(made, done.id)
        assert ("Dispatched", outbound) in named
        assert ("OutcomeReceived", result or outbound) in named
        assert (("StatusNotified", flow.notice) in named) == (flow.notice is not None)


async def test_the_checks_of_a_connect_have_the_objects_of_the_commands_that_they_are(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as made:
        request = CommandRequest(
            kind=K.REMOTE_CONNECT,
            devices=(made.device(22),),
            check_switch=True,
            check_load=True,
            with_read=True,
        )
        done = await finish(made, request)
        assert [objects[:2] for objects in shown(summary(done))] == [
            ("D8-ReadDisconStateByMtrDR", "D8-ReadDisconStByMtrResultDR"),
            ("D8-DetectLoadSideVoltgeByMtrDR", "D8-DetLoadSideVoltageMtrRsltDR"),
            ("D8-ReadScalarDR", "D8-ReadOnDemandReadResultDR"),
            ("D8-ReconnectMeterDR", "D8-ReconnectMeterResultDR"),
        ]


def test_a_callback_is_an_inbound_communication_and_a_payload_is_none() -> None:
    assert inbound_object("RequestStatusChangedService.StatusChanged") == "D8-StatusChanged"
    assert inbound_object("DataSubscriberService.DataArrived") is None


async def test_a_question_for_the_status_names_no_object_and_a_result_refused_names_its_own(
    tmp_path: Path,
) -> None:
    silent = script(Effect.DROP_CALLBACK, "DisconnectMeter")
    refused = script(Effect.FAULT, "GetDisconnectMeterResult", nth=1, fault="InternalServiceFault")
    async with world(tmp_path, silent, refused) as made:
        done = await finish(made, a_request(K.REMOTE_DISCONNECT, made))
        history = await made.app.gateway.commands.history(done.id)
        polled = [each.note.detail for each in history if each.note.detail.get("polled")]
        assert polled
        assert not any("business_object" in each for each in polled)
        assert ("AskFailed", "D8-DisconnectMeterResultDR") in await told(made, done.id)
