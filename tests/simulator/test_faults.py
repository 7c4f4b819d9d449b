"""Every row of the table of effects, seen from the wire, and how scripts choose what they hit."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

import aiohttp
import pytest

from adapter.errors import InvalidRequest
from adapter.simulator.faults import EFFECTS, Effect, Script, Scripts, read_script, script_row
from adapter.wire.faults import FAULT_CLASSES
from tests.simulator.running_simulator import (
    DISCONNECT,
    GROUP_READ,
    ONE,
    PING,
    READ,
    SWITCHES,
    THREE,
    TWO,
    Faulted,
    Rig,
    Scene,
    codec,
    dig,
    play,
    request,
    rows,
    running,
    text,
)
from tests.support import for_every

ORDERLY = ["Initializing", "Executing", "Completed"]


def disconnecting(rig: Rig, esn: str = ONE) -> bytes:
    return codec().encode_request(DISCONNECT, request(DISCONNECT, esn, address=rig.address))


async def send(rig: Rig) -> tuple[int, bytes]:
    return await rig.post(DISCONNECT, disconnecting(rig))


def acted(rig: Rig) -> int:
    return rig.simulator.journal.count(DISCONNECT, ONE, acted=True)


def reached(rig: Rig) -> int:
    return rig.simulator.journal.count(DISCONNECT, ONE)


async def delay(rig: Rig) -> None:
    await rig.script("delay", seconds=30)
    task = asyncio.create_task(send(rig))
    await rig.until(lambda: reached(rig) == 1)
    await rig.turn(29)
    assert not task.done()
    assert acted(rig) == 0
    await rig.turn(2)
    assert (await task)[0] == 200
    assert acted(rig) == 1


async def delay_reply(rig: Rig) -> None:
    await rig.script("delay_reply", seconds=30)
    task = asyncio.create_task(send(rig))
    await rig.until(lambda: acted(rig) == 1)
    await rig.turn(29)
    assert rig.states() == ORDERLY
    assert not task.done()
    await rig.turn(2)
    assert (await task)[0] == 200


async def hang(rig: Rig) -> None:
    await rig.script("hang")
    task = asyncio.create_task(send(rig))
    await rig.until(lambda: reached(rig) == 1)
    await rig.turn(86_400)
    assert not task.done()
    assert acted(rig) == 0
    task.cancel()


async def hang_after(rig: Rig) -> None:
    await rig.script("hang_after")
    task = asyncio.create_task(send(rig))
    await rig.until(lambda: acted(rig) == 1)
    await rig.turn(86_400)
    assert not task.done()
    assert rig.states() == ORDERLY
    task.cancel()


async def close_before(rig: Rig) -> None:
    await rig.script("close_before")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await send(rig)
    await rig.turn()
    assert (reached(rig), acted(rig), rig.heard) == (1, 0, [])


async def lose_reply(rig: Rig) -> None:
    await rig.script("lose_reply", meter=ONE, nth=1)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await send(rig)
    await rig.turn()
    assert (reached(rig), acted(rig)) == (1, 1)
    assert rig.states() == ORDERLY
    assert await rig.switch(ONE) == "Disconnected"


async def truncate_reply(rig: Rig) -> None:
    await rig.script("truncate_reply")
    with pytest.raises(aiohttp.ClientPayloadError):
        await send(rig)
    await rig.turn()
    assert acted(rig) == 1
    assert rig.states() == ORDERLY


async def fault(rig: Rig) -> None:
    for name in FAULT_CLASSES:
        await rig.script("fault", fault=name, nth=1)
        with pytest.raises(Faulted) as caught:
            await rig.start(DISCONNECT, ONE)
        assert (caught.value.name, caught.value.status) == (name, 500)
        await rig.admin("DELETE", "/scripts")
    assert acted(rig) == 0


async def internal_fault(rig: Rig) -> None:
    await rig.script("internal_fault")
    with pytest.raises(Faulted) as caught:
        await rig.start(DISCONNECT, ONE)
    assert (caught.value.name, caught.value.body["faultcode"]) == ("", "InternalServiceFault")
    assert acted(rig) == 0


async def error_after(rig: Rig) -> None:
    await rig.script("error_after")
    with pytest.raises(Faulted) as caught:
        await rig.start(DISCONNECT, ONE)
    assert caught.value.name == ""
    await rig.turn()
    assert acted(rig) == 1
    assert rig.states() == ORDERLY


async def http_status(rig: Rig) -> None:
    await rig.script("http_status", status=503, text="busy")
    assert await send(rig) == (503, b"busy")
    await rig.admin("DELETE", "/scripts")
    await rig.script("http_status", status=307, text="http://elsewhere.example/")
    assert (await send(rig))[0] == 307
    assert acted(rig) == 0


async def http_status_after(rig: Rig) -> None:
    await rig.script("http_status_after", status=504)
    assert await send(rig) == (504, b"")
    assert acted(rig) == 1


async def html_page(rig: Rig) -> None:
    await rig.script("html_page")
    status, body = await send(rig)
    assert status == 502
    assert body.startswith(b"<html>")
    assert acted(rig) == 0


async def empty_reply(rig: Rig) -> None:
    await rig.script("empty_reply")
    assert await send(rig) == (202, b"")
    assert acted(rig) == 1


async def wrong_token(rig: Rig) -> None:
    await rig.script("wrong_token", nth=1)
    token = await rig.start(DISCONNECT, ONE)
    await rig.turn()
    told = {text(heard.status, "RequestToken", "Id") for heard in rig.heard}
    assert len(told) == 1
    assert token not in told
    with pytest.raises(Faulted, match="RequestNotFoundFault"):
        await rig.result(DISCONNECT, token)


async def repeat_token(rig: Rig) -> None:
    first = await rig.start(DISCONNECT, ONE)
    await rig.script("repeat_token", nth=1)
    assert await rig.start(DISCONNECT, TWO) == first
    await rig.turn()
    assert len({text(heard.status, "RequestToken", "Id") for heard in rig.heard}) == 2


async def no_token(rig: Rig) -> None:
    await rig.script("no_token")
    status, body = await send(rig)
    assert status == 200
    assert b"Response" in body
    assert b"Id>" not in body
    assert acted(rig) == 1


async def callback_first(rig: Rig) -> None:
    await rig.script("callback_first")
    await rig.start(DISCONNECT, ONE)
    assert rig.states() == ["Initializing"], "told before the reply came, with the clock standing"
    await rig.turn()
    assert rig.states() == ORDERLY


async def forget_token(rig: Rig) -> None:
    await rig.script("forget_token", nth=1)
    token = await rig.start(DISCONNECT, ONE)
    await rig.turn()
    assert rig.states() == ORDERLY
    with pytest.raises(Faulted, match="RequestNotFoundFault"):
        await rig.result(DISCONNECT, token)
    with pytest.raises(Faulted, match="RequestNotFoundFault"):
        await rig.status(token)


async def never_finish(rig: Rig) -> None:
    await rig.script("never_finish", nth=1)
    token = await rig.start(DISCONNECT, ONE)
    await rig.turn(86_400)
    assert rig.states() == ["Initializing", "Executing"]
    assert (await rig.status(token))["State"] == "Executing"
    assert await rig.switch(ONE) == "Connected"


async def pending_result(rig: Rig) -> None:
    await rig.script("pending_result", operation="GetDisconnectMeterResult", first=2)
    token = await rig.start(DISCONNECT, ONE)
    await rig.turn()
    told = [(await rig.result(DISCONNECT, token))["Result"] for _ in range(3)]
    assert told == ["Pending", "Pending", "Success"]


async def truncate_failures(rig: Rig) -> None:
    await rig.script("endpoint_failure", reason="CommunicationError")
    await rig.script("truncate_failures", operation="PingByEndpoints", count=1)
    result = await rig.run(PING, ONE, TWO, THREE)
    assert len(rows(result, "EndpointFailureResult", "Failures")) == 1
    assert dig(result, "EndpointFailureResult", "MaximumResultsSent") is True
    assert rig.heard[-1].status["FailedEndpoints"] == 3


async def drop_callback(rig: Rig) -> None:
    await rig.script("drop_callback", state="Completed")
    token = await rig.start(DISCONNECT, ONE)
    await rig.turn()
    assert rig.states() == ["Initializing", "Executing"]
    assert (await rig.status(token))["State"] == "Completed"


async def duplicate_callback(rig: Rig) -> None:
    await rig.script("duplicate_callback", state="Completed", count=2)
    await rig.start(DISCONNECT, ONE)
    await rig.turn()
    assert rig.states() == ["Initializing", "Executing", *["Completed"] * 3]
    assert len({heard.raw for heard in rig.heard}) == 3, "the copies are the same bytes"


async def delay_callback(rig: Rig) -> None:
    await rig.script("delay_callback", state="Initializing", seconds=600)
    await rig.start(DISCONNECT, ONE)
    await rig.turn()
    assert rig.states() == ["Executing", "Completed"]
    await rig.turn(600)
    assert rig.states() == ["Executing", "Completed", "Initializing"]


async def reorder_callbacks(rig: Rig) -> None:
    await rig.script("reorder_callbacks")
    await rig.start(DISCONNECT, ONE)
    await rig.turn()
    assert rig.states() == ["Completed", "Executing", "Initializing"]
    assert [heard.status["Result"] for heard in rig.heard] == ["Success", "Pending", "Pending"]


async def wrong_callback_token(rig: Rig) -> None:
    await rig.script("wrong_callback_token", state="Executing")
    token = await rig.start(DISCONNECT, ONE)
    await rig.turn()
    told = [text(heard.status, "RequestToken", "Id") for heard in rig.heard]
    assert told[0] == told[2] == token
    assert told[1] != token


async def drop_data(rig: Rig) -> None:
    await rig.script("drop_data", meter=TWO)
    result = await rig.run(READ, ONE, TWO)
    assert [row["Identifier"] for row in rig.data()] == [ONE]
    assert result["Result"] == "Success"


async def duplicate_data(rig: Rig) -> None:
    await rig.script("duplicate_data", meter=TWO)
    await rig.run(READ, ONE, TWO)
    first, second, again = rig.data()
    assert (first["Identifier"], second) == (ONE, again)


async def late_data(rig: Rig) -> None:
    await rig.script("late_data", meter=TWO, seconds=3_600)
    await rig.run(READ, ONE, TWO)
    assert [row["Identifier"] for row in rig.data()] == [ONE]
    await rig.turn(3_600)
    assert [row["Identifier"] for row in rig.data()] == [ONE, TWO]
    assert rig.states() == ORDERLY


async def unasked_data(rig: Rig) -> None:
    await rig.script("unasked_data", meter=ONE)
    await rig.run(READ, ONE, TWO)
    assert sorted(str(row["Identifier"]) for row in rig.data()) == [ONE, TWO, THREE]


async def endpoint_failure(rig: Rig) -> None:
    await rig.script("endpoint_failure", meter=TWO, reason="SecurityFailure", text="No key.")
    result = await rig.run(PING, ONE, TWO)
    assert rows(result, "EndpointFailureResult", "Failures") == [
        {
            "ElectronicSerialNumber": TWO,
            "FailureReason": "SecurityFailure",
            "Description": "No key.",
        }
    ]


async def omit_device(rig: Rig) -> None:
    await rig.script("omit_device", meter=TWO)
    result = await rig.run(SWITCHES, ONE, TWO)
    assert [
        text(row, "ElectronicSerialNumber") for row in rows(result, "MeterDisconnectSwitchResults")
    ] == [ONE]
    assert "EndpointFailureResult" not in result


SCENES: Mapping[Effect, Scene] = MappingProxyType(
    {effect: globals()[effect.value] for effect in Effect}
)
"""One scene per effect, found by its name, so that a new row without one fails here."""


@pytest.mark.parametrize("effect", Effect)
def test_an_effect_does_on_the_wire_what_its_row_says(effect: Effect) -> None:
    play(SCENES[effect])


@for_every("effect", Effect)
def test_every_effect_has_a_row_that_tells_what_it_does(effect: Effect) -> None:
    assert EFFECTS[effect].meaning


def test_a_script_chooses_by_operation_with_or_without_service() -> None:
    about = {"operation": "DataService.Interrogate*", "effect": "hang"}
    assert read_script(about).about(GROUP_READ, (), None)
    assert not read_script(about).about(READ, (), None)
    assert read_script({"operation": "DisconnectMeter", "effect": "hang"}).about(
        DISCONNECT, (), None
    )


def test_a_script_chooses_by_meter_with_a_glob() -> None:
    script = read_script({"effect": "hang", "meter": "*.700[12]1"})
    assert script.about(PING, ("2.16.840.1.114416.15.243.70021", "1.70021"), None)
    assert not script.about(PING, ("1.70031", "1.700211"), None)
    assert not script.about(PING, (), None)


def hits(script: Script, times: int = 12, seed: int = 1) -> list[int]:
    return [number for number in range(1, times + 1) if script.hits(number, seed=seed)]


def test_a_script_chooses_which_occurrences_it_hits() -> None:
    assert hits(Script(effect=Effect.HANG)) == list(range(1, 13))
    assert hits(Script(effect=Effect.HANG, nth=3)) == [3]
    assert hits(Script(effect=Effect.HANG, first=2)) == [1, 2]
    assert hits(Script(effect=Effect.HANG, every=5)) == [5, 10]


def test_a_probability_is_a_share_that_the_seed_decides() -> None:
    script = Script(effect=Effect.HANG, id="rain", probability=0.3)
    chosen = hits(script, 1_000)
    assert 240 < len(chosen) < 360
    assert hits(script, 1_000) == chosen
    assert hits(script, 1_000, seed=2) != chosen
    assert hits(Script(effect=Effect.HANG, id="x", probability=0.0)) == []


def test_scripts_count_only_what_they_are_about() -> None:
    scripts = Scripts()
    scripts.add(read_script({"effect": "hang", "operation": "DisconnectMeter", "nth": 2}))
    seen = [
        bool(scripts.match((EFFECTS[Effect.HANG].stage,), operation=operation, meters=(ONE,)))
        for operation in (PING, DISCONNECT, PING, DISCONNECT, DISCONNECT)
    ]
    assert seen == [False, False, False, True, False]
    [(_, matched, hit)] = scripts.listed()
    assert (matched, hit) == (3, 1)


async def test_a_script_about_tokens_counts_only_requests_that_give_one() -> None:
    async with running() as rig:
        await rig.script("never_finish", nth=2)
        await rig.script("pending_result", nth=2)
        await rig.run(DISCONNECT, ONE)
        await rig.start(DISCONNECT, TWO)
        listed = (await rig.admin("GET", "/scripts"))[1]
        assert [dig(row, "matched") for row in rows(listed, "scripts")] == [2, 2]


async def test_a_delayed_request_is_carried_out_although_its_caller_has_gone() -> None:
    async with running() as rig:
        await rig.script("delay", seconds=30, first=1)
        task = asyncio.create_task(send(rig))
        await rig.until(lambda: reached(rig) == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await rig.turn(31)
        await rig.until(lambda: acted(rig) == 1)
        await rig.turn()
        assert rig.states() == ORDERLY


async def test_two_scripts_can_hit_one_request() -> None:
    async with running() as rig:
        await rig.script("callback_first")
        await rig.script("lose_reply")
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await send(rig)
        assert rig.states() == ["Initializing"]


@for_every(
    ("row", "place", "says"),
    [
        ({}, "script.effect", "missing"),
        ({"effect": "melt"}, "script.effect", "one of delay, hang"),
        ({"effect": "hang", "meters": "*"}, "script.meters", "unknown; known are"),
        ({"effect": "delay"}, "script.seconds", "effect delay needs it"),
        ({"effect": "fault"}, "script.fault", "needs it"),
        ({"effect": "fault", "fault": "Nonsense"}, "script.fault", "unknown fault"),
        ({"effect": "delay", "seconds": -1}, "script.seconds", "number from 0"),
        ({"effect": "delay", "seconds": True}, "script.seconds", "number from 0"),
        ({"effect": "hang", "nth": 0}, "script.nth", "whole number from 1"),
        ({"effect": "hang", "nth": 1.5}, "script.nth", "whole number"),
        ({"effect": "hang", "probability": 2}, "script.probability", "from 0 to 1"),
        ({"effect": "http_status", "status": 42}, "script.status", "from 100 to 599"),
        ({"effect": "drop_callback", "state": "Done"}, "script.state", "Completed"),
        ({"effect": "endpoint_failure", "reason": "Rain"}, "script.reason", "NoResponse"),
        ({"effect": "hang", "operation": 3}, "script.operation", "text"),
    ],
)
def test_a_bad_script_is_refused_and_the_place_is_named(
    row: dict[str, object], place: str, says: str
) -> None:
    with pytest.raises(InvalidRequest, match=says) as caught:
        read_script(row)
    assert caught.value.field == place


def test_a_script_is_written_as_it_was_read() -> None:
    row = {"effect": "fault", "fault": "MeterNotFoundFault", "meter": "*.1", "nth": 2, "id": "a"}
    assert script_row(read_script(row)) == row
    assert read_script({"effect": "fault", "fault": "MeterNotFound"}).fault == "MeterNotFoundFault"


def test_an_id_can_be_taken_once() -> None:
    scripts = Scripts()
    scripts.add(read_script({"effect": "hang", "id": "a"}))
    with pytest.raises(InvalidRequest, match="already"):
        scripts.add(read_script({"effect": "hang", "id": "a"}))
