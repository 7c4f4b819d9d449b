"""The edges of the server: contract pages, callers' credentials, bad input, journal, admin."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
import zeep
from lxml import etree

from adapter.errors import SettingsError
from adapter.simulator.settings import SimulatorConfig
from adapter.wire.security import username_token
from adapter.wire.served import served_by_head_end
from tests.simulator.running_simulator import (
    DISCONNECT,
    NOON,
    ONE,
    PING,
    READ,
    STATUS,
    STRANGER,
    TWO,
    Faulted,
    codec,
    dig,
    request,
    rows,
    running,
    text,
)
from tests.support import for_every

WSDL_TAG = "{http://schemas.xmlsoap.org/wsdl/}"


@pytest.mark.parametrize("query", ["wsdl", "singleWsdl"])
async def test_zeep_makes_a_client_of_what_is_served_and_its_call_is_taken(query: str) -> None:
    async with running() as rig:
        address = f"{rig.simulator.url}/ami/2008/10/control"

        def call() -> Any:
            client = zeep.Client(f"{address}?{query}")  # type: ignore[no-untyped-call]
            try:
                return client.service.PingByEndpoints(
                    {"EndpointCollectionRequest": {"ElectronicSerialNumbers": {"string": [ONE]}}}
                )
            finally:
                client.transport.session.close()

        assert UUID(await asyncio.to_thread(call)).int


async def test_a_single_wsdl_is_one_page_that_leads_nowhere_but_to_its_service() -> None:
    async with running() as rig:
        for path in {spec.path for spec in served_by_head_end(codec().catalog)}:
            async with rig.session.get(f"{rig.simulator.url}{path}?singleWsdl") as response:
                page = await response.text()
            assert "schemaLocation" not in page
            assert f'location="{rig.simulator.url}{path}"' in page


async def test_the_contract_has_only_services_that_the_head_end_serves() -> None:
    async with running() as rig:
        found = set()
        for path in {spec.path for spec in served_by_head_end(codec().catalog)}:
            async with rig.session.get(f"{rig.simulator.url}{path}?wsdl") as response:
                page = etree.fromstring(await response.read())
            found |= {each.get("name") for each in page.findall(f"{WSDL_TAG}service")}
        assert found == {spec.service for spec in served_by_head_end(codec().catalog)}
        async with rig.session.get(f"{rig.simulator.url}/openway/status?wsdl") as response:
            assert response.status == 404


async def test_only_schemas_of_the_contract_are_served() -> None:
    async with running() as rig:
        base = f"{rig.simulator.url}/ami/2008/10/control"
        for name in ("xsd999", "", "../pyproject.toml", "xsd/com.xsd", "wsdl", "single"):
            async with rig.session.get(f"{base}?xsd={quote(name)}") as response:
                assert response.status == 404
        async with rig.session.get(f"{base}?xsd=xsd0") as response:
            assert etree.fromstring(await response.read()).tag.endswith("}schema")


async def test_a_host_that_is_none_is_not_written_into_the_contract() -> None:
    async with running() as rig:
        base = f"{rig.simulator.url}/ami/2008/10/control"
        for host in ('x"><evil', "a b", "user@h", "h/path"):
            async with rig.session.get(f"{base}?wsdl", headers={"Host": host}) as response:
                if response.status == 200:
                    assert f'location="{base}"' in await response.text()
        async with rig.session.get(f"{base}?wsdl", headers={"Host": "he.example:81"}) as response:
            page = await response.text()
            assert 'location="http://he.example:81/ami/2008/10/control"' in page
            assert 'schemaLocation="http://he.example:81/ami/2008/10/control?xsd=' in page


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "DeserializationFailed"),
        (b"no xml", "DeserializationFailed"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "DeserializationFailed"),
        (b"<a/>", "DeserializationFailed"),
        (
            b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
            b'<DisconnectMeter xmlns="urn:other"/></s:Body></s:Envelope>',
            "DeserializationFailed",
        ),
    ],
)
async def test_what_is_not_understood_is_a_fault_and_noted(payload: bytes, code: str) -> None:
    async with running() as rig:
        status, raw = await rig.post(DISCONNECT, payload)
        assert status == 500
        assert codec().decode(raw).body["faultcode"] == code
        [entry] = rig.simulator.journal.entries()
        assert entry["kind"] == "refused"
        assert rig.simulator.journal.count(DISCONNECT) == 0


async def test_a_token_that_is_no_guid_is_simply_not_found() -> None:
    async with running() as rig:
        body = {"input": {"Id": "00000000-0000-4000-8000-000000000000"}}
        payload = codec().encode_request(STATUS, body)
        status, raw = await rig.post(STATUS, payload.replace(b"00000000-0000", b"no guid"))
        assert (status, codec().decode(raw).body["fault"]) == (500, "RequestNotFoundFault")


async def test_the_action_must_be_that_of_the_body_and_of_the_path() -> None:
    async with running() as rig:
        payload = codec().encode_request(DISCONNECT, request(DISCONNECT, ONE))
        for headers in ({"SOAPAction": '"urn:other"'}, {"SOAPAction": ""}):
            status, raw = await rig.post(DISCONNECT, payload, headers)
            assert (status, codec().decode(raw).body["faultcode"]) == (500, "ActionNotSupported")
        status, raw = await rig.post(READ, payload)
        assert (status, codec().decode(raw).body["faultcode"]) == (500, "ActionNotSupported")
        assert rig.simulator.journal.count(DISCONNECT) == 0


async def test_a_body_past_the_limit_is_not_read() -> None:
    async with running({"limits": {"body_bytes": 1_000}}) as rig:
        status, _ = await rig.post(DISCONNECT, b" " * 2_000)
        assert status == 413


async def test_callers_without_the_right_basic_credentials_are_kept_out() -> None:
    async with running({"access": {"caller_user": "me", "caller_password": "pw"}}) as rig:
        payload = codec().encode_request(DISCONNECT, request(DISCONNECT, ONE))
        for given in ({}, {"Authorization": "Basic bWU6d3Jvbmc="}):
            status, _ = await rig.post(DISCONNECT, payload, given)
            assert status == 401
        status, _ = await rig.post(DISCONNECT, payload, {"Authorization": "Basic bWU6cHc="})
        assert status == 200
        assert rig.simulator.journal.count(DISCONNECT) == 1


@pytest.mark.parametrize("digest", [True, False])
async def test_callers_without_the_right_security_header_are_kept_out(digest: bool) -> None:
    now = datetime.now(UTC)

    def signed(password: str, nonce: bytes) -> bytes:
        header = username_token("me", password, digest=digest, now=now, nonce=nonce)
        return codec().encode_request(DISCONNECT, request(DISCONNECT, ONE), header=header)

    access = {"caller_user": "me", "caller_password": "pw", "caller_security": "wsse"}
    async with running({"access": access}) as rig:
        plain = codec().encode_request(DISCONNECT, request(DISCONNECT, ONE))
        for payload in (plain, signed("wrong", b"1" * 16)):
            status, raw = await rig.post(DISCONNECT, payload)
            fault = codec().decode(raw).body
            assert (status, fault["faultcode"]) == (500, "FailedAuthentication")
        good = signed("pw", b"2" * 16)
        assert (await rig.post(DISCONNECT, good))[0] == 200
        assert (await rig.post(DISCONNECT, good))[0] == 500, "a nonce is taken once"


async def test_the_journal_counts_what_reached_each_meter_and_outlives_its_own_bound() -> None:
    async with running({"limits": {"journal_entries": 4}}) as rig:
        await rig.run(DISCONNECT, ONE)
        await rig.run(PING, ONE, TWO)
        await rig.run(PING, TWO)
        journal = rig.simulator.journal
        assert len(journal.entries()) == 4
        assert (journal.count(PING), journal.count(PING, TWO), journal.count(PING, ONE)) == (
            2,
            2,
            1,
        )
        assert journal.count(DISCONNECT, ONE, acted=True) == 1
        status, told = await rig.admin("GET", f"/counters?esn={ONE}")
        assert status == 200
        assert dig(told, "requests", DISCONNECT) == 1
        assert dig(told, "acted", PING) == 1
        _, told = await rig.admin("GET", "/counters?per_meter=1")
        assert dig(told, "requests_by_meter", PING, TWO) == 2
        assert dig(told, "deliveries", "RequestStatusChangedService.StatusChanged") == 9


async def test_the_journal_file_tells_what_was_carried_out_before_the_answer_left(
    tmp_path: Path,
) -> None:
    file = tmp_path / "journal.jsonl"
    async with running({"journal": str(file)}) as rig:
        await rig.script("lose_reply", first=1)
        with pytest.raises(Exception, match="disconnect"):
            await rig.start(DISCONNECT, ONE)
        written = [json.loads(line) for line in file.read_text().splitlines()]
        kinds = [(line["kind"], line.get("operation")) for line in written]
        assert kinds == [("request", DISCONNECT), ("acted", None), ("answered", None)]
        assert written[0]["endpoints"] == [ONE]
        assert written[0]["scripts"] == ["lose_reply"]
        assert written[1]["sequence"] == written[0]["sequence"]
        assert written[1]["token"] in {str(token) for token in rig.simulator.world.jobs}


async def test_the_journal_can_be_searched() -> None:
    async with running() as rig:
        token = await rig.start(DISCONNECT, ONE)
        await rig.run(PING, TWO)
        _, told = await rig.admin("GET", f"/journal?operation=DisconnectMeter&esn={quote(ONE)}")
        [entry] = rows(told, "entries")
        assert text(entry, "token") == token
        _, told = await rig.admin("GET", f"/journal?token={token}")
        assert len(rows(told, "entries")) == 4
        _, told = await rig.admin("GET", "/journal?after=3&limit=1")
        assert dig(told, "entries", 0, "sequence") == 4


async def test_a_meter_can_be_looked_at_and_changed() -> None:
    async with running() as rig:
        status, told = await rig.admin("GET", f"/meters/{ONE}")
        assert (status, told["switch"], told["load_side_voltage"]) == (200, "Connected", True)
        before = told["registers_wh"]
        assert isinstance(before, dict)
        status, told = await rig.admin(
            "PUT", f"/meters/{ONE}", {"switch": "Armed", "reachable": False, "serial": "X1"}
        )
        assert status == 200
        assert (told["switch"], told["reachable"], told["serial"]) == ("Armed", False, "X1")
        assert told["switch_changed_at"] == "2026-03-02T12:00:00Z"
        status, _ = await rig.admin("GET", f"/meters/{STRANGER}")
        assert status == 404
        status, told = await rig.admin("PUT", f"/meters/{ONE}", {"switch": "Molten"})
        assert status == 400
        assert "switch" in text(told, "detail")


async def test_a_new_meter_can_be_added_and_many_changed_at_once() -> None:
    async with running({"population": {"count": 10}}) as rig:
        added = "2.16.840.1.114416.3.5"
        given = {"registered": True, "commissioned": True}
        assert (await rig.admin("PUT", f"/meters/{added}", given))[0] == 200
        assert (await rig.run(PING, added))["Result"] == "Success"
        change = {"group": "Substation 1", "set": {"reachable": False}}
        assert await rig.admin("PUT", "/meters", change) == (200, {"changed": 10})
        _, told = await rig.admin("GET", "/meters?match=*3&limit=5")
        assert [text(row, "esn") for row in rows(told, "meters")] == [f"{ONE[:-1]}3"]
        assert (await rig.run(PING, ONE))["Result"] == "Failure"


async def test_groups_can_be_made_and_dropped() -> None:
    async with running({"population": {"count": 3}}) as rig:
        assert (await rig.admin("PUT", "/groups/Feeder", {"meters": [ONE, TWO]}))[0] == 200
        assert (await rig.admin("GET", "/groups/Feeder"))[1]["meters"] == [ONE, TWO]
        _, told = await rig.admin("GET", "/groups")
        assert rows(told, "groups") == ["Substation 1", "Residential", "Commercial", "Feeder"]
        assert (await rig.admin("DELETE", "/groups/Feeder"))[0] == 200
        assert (await rig.admin("GET", "/groups/Feeder"))[0] == 404


async def test_scripts_can_be_listed_with_their_counts_and_taken_away() -> None:
    async with running() as rig:
        status, told = await rig.admin(
            "POST",
            "/scripts",
            {"scripts": [{"effect": "hang", "meter": TWO}, {"effect": "no_token", "nth": 1}]},
        )
        assert (status, told["ids"]) == (201, ["s1", "s2"])
        await rig.post(PING, codec().encode_request(PING, request(PING, ONE)))
        _, told = await rig.admin("GET", "/scripts")
        assert rows(told, "scripts") == [
            {"effect": "hang", "meter": TWO, "id": "s1", "matched": 0, "hit": 0},
            {"effect": "no_token", "nth": 1, "id": "s2", "matched": 1, "hit": 1},
        ]
        assert (await rig.admin("DELETE", "/scripts/s1"))[0] == 200
        assert (await rig.admin("DELETE", "/scripts/s1"))[0] == 404
        status, told = await rig.admin("POST", "/scripts", {"scripts": [{}, {"effect": "hang"}]})
        assert (status, text(told, "detail")) == (400, "scripts[0].effect: is missing")
        assert len(rows((await rig.admin("GET", "/scripts"))[1], "scripts")) == 1


async def test_subscriptions_can_be_made_over_soap_and_seen_over_admin() -> None:
    async with running() as rig:
        given = {"SystemName": "mdm", "Uri": f"{rig.base}/mdm"}
        subscribe, cancel = (
            f"DataService.{name}"
            for name in ("SubscribeToEndpointData", "CancelEndpointDataSubscription")
        )
        await rig.call(subscribe, {"request": {"SubscriberRequest": given}})
        await rig.run(READ, ONE)
        assert {told.path for told in rig.heard if "Data" in told.operation} == {"/data", "/mdm"}
        _, told = await rig.admin("GET", "/subscriptions")
        assert [text(row, "system") for row in rows(told, "subscriptions")] == [
            "gateway",
            "gateway",
            "mdm",
        ]
        await rig.call(cancel, {"request": {"SubscriberRequest": given}})
        assert (await rig.admin("DELETE", "/subscriptions/data/mdm"))[0] == 404
        bad = {"SystemName": "x", "Uri": "nowhere"}
        with pytest.raises(Faulted, match="InvalidUriFormatFault"):
            await rig.call(subscribe, {"request": {"SubscriberRequest": bad}})


async def test_the_provisional_subscription_service_subscribes_lists_and_cancels() -> None:
    async with running() as rig:
        service = "SubscriptionService."
        wanted = {"SystemName": "oms", "UriCollection": [f"{rig.base}/oms"]}
        await rig.call(
            f"{service}SubscribeToEndpointExceptionsByMeter",
            {"request": {"SubscriptionRequest": wanted, "ElectronicSerialNumbers": [TWO]}},
        )
        system = {"request": {"SystemName": "oms"}}
        told = await rig.call(f"{service}RetrieveSubscriptionsBySystemName", system)
        [row] = rows(told, "RetrieveSubscriptionsBySystemNameResult")
        assert row == {**wanted, "Kind": "Exceptions"}
        await rig.admin("POST", "/outage", {"group": "Substation 1", "seconds": 60})
        await rig.turn(0)
        [heard] = [told for told in rig.heard if told.path == "/oms"]
        assert len(rows(heard.body, "input", "MeterExceptionCollection")) == 1
        await rig.call(f"{service}CancelExceptionSubscription", system)
        with pytest.raises(Faulted, match="SubscriberNotFoundFault"):
            await rig.call(f"{service}CancelExceptionSubscription", system)


async def test_a_head_end_that_restarts_forgets_its_tokens() -> None:
    async with running() as rig:
        token = await rig.start(DISCONNECT, ONE)
        assert await rig.admin("POST", "/forget-tokens") == (200, {"forgotten": 1})
        await rig.turn()
        assert rig.heard == []
        with pytest.raises(Faulted, match="RequestNotFoundFault"):
            await rig.status(token)


async def test_a_reset_brings_back_the_start() -> None:
    async with running() as rig:
        first = await rig.start(DISCONNECT, ONE)
        await rig.turn()
        await rig.script("hang")
        assert (await rig.admin("POST", "/reset"))[0] == 200
        assert await rig.start(DISCONNECT, ONE) == first, "the sequence begins again"
        meter = rig.simulator.world.population.find(ONE)  # type: ignore[arg-type]
        assert meter is not None
        assert meter.switch == "Connected"
        _, told = await rig.admin("GET", "")
        assert (told["scripts"], told["requests"], told["subscriptions"]) == (0, 1, 2)


async def test_the_admin_address_can_want_a_token_and_never_serves_other_sites_pages() -> None:
    async with running({"access": {"admin_token": "k"}}) as rig:
        url = f"{rig.simulator.admin_url}/meters"
        cases: list[tuple[Mapping[str, str], int]] = [
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            ({"Authorization": "Bearer k"}, 200),
            ({"Authorization": "Bearer k", "Origin": "http://evil.example"}, 403),
        ]
        for headers, status in cases:
            async with rig.session.get(url, headers=headers) as response:
                assert response.status == status


async def test_the_admin_address_can_have_a_port_of_its_own() -> None:
    async with running({"admin_port": 0}) as rig:
        assert not rig.simulator.admin_url.startswith(rig.simulator.url)
        assert (await rig.admin("GET", ""))[0] == 200
        async with rig.session.get(f"{rig.simulator.url}/admin") as response:
            assert response.status == 404


async def test_without_a_token_the_admin_address_stays_on_this_machine() -> None:
    async with running({"host": "0.0.0.0"}) as rig:
        assert rig.simulator.url.startswith("http://0.0.0.0:")
        assert rig.simulator.admin_url.startswith("http://127.0.0.1:")
        assert (await rig.admin("GET", ""))[0] == 200
        async with rig.session.get(f"{rig.simulator.url}/admin") as response:
            assert response.status == 404


@pytest.mark.parametrize("given", [b"", b"[]", b"{", b'"x"'])
async def test_admin_input_that_is_no_object_is_refused(given: bytes) -> None:
    async with running() as rig:
        url = f"{rig.simulator.admin_url}/scripts"
        async with rig.session.post(url, data=given) as response:
            assert response.status == 400
            assert (await response.json(content_type=None))["code"] == "invalid_request"


def test_settings_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "simulator.toml"
    file.write_text(
        """
        port = 8103
        [population]
        count = 5
        seed = 42
        disconnected_share = 0.5
        [timing]
        completed_s = 2
        [groups]
        "Feeder 7" = ["1.2.3"]
        [[script]]
        effect = "lose_reply"
        operation = "DisconnectMeter"
        nth = 1
        """
    )
    config = SimulatorConfig.load(file)
    assert (config.port, config.seed, config.population.count) == (8103, 42, 5)
    assert config.timing.completed_s == 2.0
    assert config.groups["Feeder 7"] == ("1.2.3",)
    assert config.scripts[0].effect == "lose_reply"


@for_every(
    ("table", "says"),
    [
        ({"prot": 1}, "prot: unknown setting; did you mean port?"),
        ({"port": 70_000}, "port: must be a port"),
        ({"population": {"meters": 3}}, "population.meters: unknown"),
        ({"population": {"count": -1}}, "population.count: must be a whole number"),
        ({"population": {"count": 1.5}}, "population.count: must be a whole number"),
        ({"population": {"unreachable_share": 1.5}}, "from 0 to 1"),
        ({"population": {"device_classes": []}}, "device_classes: must be a list"),
        ({"population": 3}, "population: must be a table"),
        ({"population": {"time_zone": "Mars/Olympus"}}, "population.time_zone: there is no"),
        ({"timing": {"executing_s": 9.0}}, "must rise"),
        ({"answers": {"mixed": "Maybe"}}, "answers.mixed: .* known are Failure, Success"),
        ({"access": {"caller_security": "none"}}, "access.caller_security"),
        ({"timing": {"honour_windows": 1}}, "true or false"),
        ({"script": [{"effect": "melt"}]}, r"script\[0\].effect"),
        ({"groups": {"a": "b"}}, "groups.a: must be a list"),
        ({"data_subscribers": {"a": 1}}, "data_subscribers.a: must be text"),
    ],
)
def test_a_bad_setting_is_named(table: dict[str, object], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        SimulatorConfig.read(table)


def test_all_complaints_about_the_simulator_are_told_at_once() -> None:
    table = {"port": -1, "limits": {"subscribers": "x"}, "script": [{"effect": "melt"}, 3]}
    with pytest.raises(SettingsError) as refused:
        SimulatorConfig.read(table)
    assert len(str(refused.value).splitlines()) == 4


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml"):
        SimulatorConfig.load(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("port = ")
    with pytest.raises(SettingsError, match=r"broken\.toml"):
        SimulatorConfig.load(broken)


def test_secrets_do_not_show_in_the_settings() -> None:
    config = SimulatorConfig.read(
        {"access": {"caller_password": "S", "callback_password": "S", "admin_token": "S"}}
    )
    assert "'S'" not in repr(config)


async def test_noon_is_the_rigs_clock() -> None:
    async with running() as rig:
        _, told = await rig.admin("GET", "")
        assert told["now"] == NOON.isoformat().replace("+00:00", "Z")


async def test_a_subscriber_added_in_the_process_stays_after_a_reset() -> None:
    async with running() as rig:
        rig.simulator.subscribe(f"{rig.base}/later", system="later")
        await rig.admin("POST", "/reset")
        await rig.run(READ, ONE)
        assert [told.path for told in rig.heard if "Data" in told.operation] == ["/data", "/later"]
