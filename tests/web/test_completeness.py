"""Which meters have reported, over REST: counts, days, lists, and reading them again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from adapter.engine.commands.ports import Import
from adapter.model.device import Device, InstallEvent, InstallStatus, ServicePoint
from adapter.model.ids import DeviceId, EndpointId, ServicePointId
from tests.support import every_case
from tests.web.both_servers import DATA, NOON, XML, Rig, Told, a_rig
from tests.wire.payloads import data_arrived, read_data

ABLE = frozenset({"on_demand_read_interval"})
METERS = 6
"""P1 to P6: P1 is whole, of P2 a quarter is there, P3 was late, P4 has reported long ago, P5 and P6
never; P6 takes no reads. P7 is at another head end, P8 was never installed."""

HEAD_ENDS = {7: "the other one"}


def endpoint(number: int) -> str:
    return f"2.16.840.1.114416.15.243.8{number:05d}"


def meters() -> Import:
    devices = tuple(
        Device(
            id=DeviceId(f"P{number}"),
            endpoint=EndpointId(endpoint(number)),
            head_end=HEAD_ENDS.get(number, ""),
            groups=frozenset({"NORTH"} if number <= 3 else {"SOUTH", "ALL"}),
            capabilities=ABLE if number != 6 else frozenset(),
        )
        for number in range(1, 9)
    )
    return Import(
        devices=devices,
        service_points=tuple(ServicePoint(id=ServicePointId(f"SP-{d.id}")) for d in devices[:7]),
        installs=tuple(
            InstallEvent(
                device=device.id,
                service_point=ServicePointId(f"SP-{device.id}"),
                installed_at=NOON - timedelta(days=30),
                status=InstallStatus.CONN_COMM,
            )
            for device in devices[:7]
        ),
    )


async def arrive(rig: Rig, number: int, values: int, *, end: str) -> None:
    body = data_arrived(read_data(endpoint(number), range(1, values + 1), end=end))
    status, _ = await rig.post("/openway/data", body, XML)
    assert status == 200, DATA
    await rig.gateway.drain()


async def count(rig: Rig) -> None:
    for _ in range(50):
        if not await rig.gateway.readings.completeness.once():
            return


@asynccontextmanager
async def reported() -> AsyncIterator[Rig]:
    """It is 13:00 of the third of March: what is asked of yesterday is of the second."""
    async with a_rig() as rig:
        await rig.gateway.registry.import_devices(meters())
        await arrive(rig, 4, 96, end="2026-02-17T00:00:00Z")
        await rig.clock.turn(NOON + timedelta(hours=13))
        await arrive(rig, 1, 96, end="2026-03-03T00:00:00Z")
        await arrive(rig, 2, 24, end="2026-03-03T00:00:00Z")
        await arrive(rig, 1, 4, end="2026-03-03T01:00:00Z")
        await rig.clock.turn(NOON + timedelta(hours=25))
        await arrive(rig, 3, 96, end="2026-03-03T00:00:00Z")
        await count(rig)
        yield rig


async def listed(rig: Rig, gap: str, **query: str) -> dict[str, str]:
    asked = "&".join(f"{name}={value}" for name, value in {"gap": gap, **query}.items())
    told = await rig.ask("GET", f"/completeness/meters?{asked}", by="reader")
    assert told.status == 200, told.body
    return {each["device"]: each["reason"] for each in told["items"] if each["device"][0] == "P"}


async def test_lists_say_who_and_why() -> None:
    async with reported() as rig:
        never, month = "never reported", "nothing for a week"
        assert await listed(rig, "not_since") == {"P4": month, "P5": never, "P6": never}
        assert await listed(rig, "not_since", group="NORTH") == {}
        assert set(await listed(rig, "not_since", since="2026-03-03T00:30:00Z")) == {
            f"P{number}" for number in range(2, METERS + 1)
        }
        assert await listed(rig, "incomplete") == {"P2": "less than half of the intervals"}
        assert await listed(rig, "incomplete", group="SOUTH") == {}
        assert await listed(rig, "late") == {"P3": "within a day of its end"}
        weeks = "more than a week after its end"
        assert await listed(rig, "late", day="2026-02-16") == {"P4": weeks}
        assert await listed(rig, "late", day="2026-02-15") == {}
        assert await listed(rig, "blocks") == {}


async def test_a_list_comes_in_pages() -> None:
    async with reported() as rig:
        found: list[str] = []
        cursor = ""
        for _ in range(20):
            told = await rig.ask(
                "GET",
                f"/completeness/meters?gap=not_since&group=SOUTH&limit=1{cursor}",
                by="reader",
            )
            assert told["total"] == 3
            found += [each["device"] for each in told["items"]]
            if told["next"] is None:
                break
            cursor = f"&cursor={told['next']}"
        assert found == ["P4", "P5", "P6"]


async def test_the_overview_counts_what_the_lists_have() -> None:
    async with reported() as rig:
        told = await rig.ask("GET", "/completeness?group=NORTH", by="reader")
        assert told["today"] == {
            "group": "",
            "day": "2026-03-03",
            "meters": 3,
            "reported": 1,
            "whole": 0,
            "doubtful": 0,
            "late": 0,
        }
        whole = await rig.ask("GET", "/completeness", by="reader")
        assert whole["today"]["meters"] == METERS + 3  # and M1 to M3
        assert (whole["never_reported"], whole["no_value_for_a_week"]) == (5, 6)
        assert (whole["incomplete"], whole["late"], whole["failed"]) == (1, 1, 0)
        assert whole["uncounted"] == 0


async def test_days_are_told_by_group() -> None:
    async with reported() as rig:
        told = await rig.ask(
            "GET", "/completeness/days?first=2026-03-01&last=2026-03-02&group=NORTH", by="reader"
        )
        assert [(each["day"], each["reported"], each["whole"]) for each in told["items"]] == [
            ("2026-03-01", 0, 0),
            ("2026-03-02", 3, 2),
        ]
        everybody = await rig.ask("GET", "/completeness/days?first=2026-03-02&last=2026-03-02")
        assert {each["group"]: each["meters"] for each in everybody["items"]} == {
            "": 3,
            "ALL": 3,
            "NORTH": 3,
            "SOUTH": 3,
        }


async def test_a_load_that_is_not_counted_is_said_to_be() -> None:
    async with reported() as rig:
        await arrive(rig, 5, 4, end="2026-03-03T01:00:00Z")
        assert (await rig.ask("GET", "/completeness", by="reader"))["uncounted"] == 1
        await count(rig)
        told = await rig.ask("GET", "/completeness", by="reader")
        assert (told["uncounted"], told["never_reported"]) == (0, 4)


def wanted(**changes: Any) -> dict[str, Any]:
    return {"gap": "not_since", "reason": "after the storm", "group": "SOUTH", **changes}


async def again(rig: Rig, by: str = "operator", **changes: Any) -> Told:
    return await rig.ask("POST", "/completeness/read-again", wanted(**changes), by=by)


async def test_of_a_group_without_meters_nobody_has_to_report() -> None:
    async with reported() as rig:
        shown = await rig.ask("GET", "/completeness?group=NOBODYS")
        assert (shown.status, shown["today"]["meters"]) == (200, 0)
        assert (await rig.ask("GET", "/completeness/days?group=NOBODYS")).status == 200


async def test_a_dry_run_counts_and_reads_nothing() -> None:
    async with reported() as rig:
        told = await again(rig, dry_run=True)
        assert told.status == 200
        assert told.body == {
            "meters": 2,
            "asked": 2,
            "by_reason": {"nothing for a week": 1, "never reported": 1},
            "incapable": 1,
            "command": None,
        }
        assert (await rig.ask("GET", "/commands"))["items"] == []


async def test_they_are_read_by_one_command_that_is_audited() -> None:
    async with reported() as rig:
        told = await again(rig, idempotency_key="storm-1")
        command = (await rig.ask("GET", f"/commands/{told['command']}")).body
        assert command["kind"] == "on_demand_read_interval"
        assert command["devices"] == ["P4", "P5"]
        assert command["reference"] == "after the storm"
        assert command["state"] not in ("validation_error", "discarded")
        history = await rig.ask("GET", f"/commands/{told['command']}/history")
        (entry,) = (each for each in history["items"] if each["action"] == "ReadAgain")
        assert (entry["actor"], entry["detail"]["list"]) == ("operator", "not_since")
        assert entry["detail"]["by_reason"] == {"nothing for a week": 1, "never reported": 1}
        once_more = await again(rig, idempotency_key="storm-1")
        assert once_more["command"] == told["command"]
        assert len((await rig.ask("GET", "/commands"))["items"]) == 1


async def test_a_group_is_read_by_the_command_for_groups() -> None:
    async with reported() as rig:
        told = await again(rig, kind="scheduled_read_interval", group="NORTH", gap="incomplete")
        assert (told["meters"], told["asked"]) == (1, 3)
        command = (await rig.ask("GET", f"/commands/{told['command']}")).body
        assert (command["kind"], command["group"]) == ("scheduled_read_interval", "NORTH")


async def test_what_cannot_be_is_refused() -> None:
    async with reported() as rig:
        cases: list[tuple[dict[str, Any], int, str]] = [
            ({"kind": "remote_disconnect"}, 422, "kind"),
            ({"kind": "scheduled_read_interval", "group": None}, 422, "group"),
            ({"start": "2026-03-03T00:00:00Z", "end": "2026-03-02T00:00:00Z"}, 422, "to"),
            ({"at_most": 1}, 409, ""),
            ({"reason": ""}, 422, "reason"),
            ({"gap": "silent"}, 422, "gap"),
        ]
        with every_case() as case:
            for changes, status, field in cases:
                with case(changes):
                    told = await again(rig, **changes)
                    assert (told.status, told.body.get("field", "")) == (status, field)
        assert (await again(rig, by="reader")).status == 403
        for query in (
            "days?first=2026-03-03&last=2026-03-02",
            "days?first=1900-01-01",
            "meters?day=x",
        ):
            assert (await rig.ask("GET", f"/completeness/{query}")).status == 422


async def test_a_failed_read_is_told_with_its_reason_until_one_succeeds() -> None:
    async with reported() as rig:
        made = await rig.ask(
            "POST",
            "/commands",
            {
                "kind": "on_demand_read_interval",
                "devices": ["P5"],
                "period": {"start": "2026-03-02T00:00:00Z", "end": "2026-03-03T00:00:00Z"},
            },
        )
        assert made.status == 202
        for hours in range(1, 200, 6):
            await rig.gateway.drain()
            await rig.clock.turn(NOON + timedelta(hours=25 + hours))
        failed = await listed(rig, "failed", since="2026-03-03T00:00:00Z")
        assert set(failed) == {"P5"}
        assert failed["P5"] == "expired while in progress"
        assert await listed(rig, "failed", since="2026-03-03T00:00:00Z", group="NORTH") == {}


async def test_a_schedule_that_is_behind_is_told_until_its_windows_are_read() -> None:
    async with reported() as rig:
        asked = {
            "kind": "scheduled_read_interval",
            "group": "NORTH",
            "name": "hourly",
            "recurrence": {"first": "00:00:00", "length_s": 3600},
        }
        made = await rig.ask("POST", "/schedules", asked, by="operator")
        assert made.status == 202
        assert (await rig.ask("GET", "/completeness/windows"))["items"] == []
        await rig.clock.turn(NOON + timedelta(hours=29))
        (late,) = (await rig.ask("GET", "/completeness/windows"))["items"]
        assert (late["schedule"], late["not_asked"], late["report"]) == (made["id"], 4, None)
        assert (await rig.ask("GET", "/completeness"))["windows_behind"] == 1
        assert (await rig.ask("GET", "/completeness?group=SOUTH"))["windows_behind"] == 0
        await rig.gateway.schedules.once()
        (waiting,) = (await rig.ask("GET", "/completeness/windows"))["items"]
        assert waiting["not_asked"] == 0
        assert (waiting["report"]["expected"], waiting["report"]["waiting"]) == (3, 3)
