"""Every committed order fixture runs to what it says, and the runner tells when it does not."""

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from adapter.orders.order import OrderKind
from adapter.replay.order_run import play_order, play_orders, record_orders
from adapter.replay.order_scenario import (
    order_folders,
    read_expected,
    read_order_scenario,
)
from adapter.replay.scenario import BadScenario
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec
from tests.support import for_every

FIXTURES = Path(__file__).parents[2] / "fixtures" / "orders"
NAMES = tuple(folder.relative_to(FIXTURES).as_posix() for folder in order_folders(FIXTURES))


@cache
def codec() -> Codec:
    return Codec(Catalog.load())


def expected(name: str) -> dict[str, Any]:
    return dict(read_expected(FIXTURES / name))


def children(name: str, order: int = 1) -> str:
    found = expected(name)["orders"][order - 1]["children"]
    return " > ".join(each["does"].removeprefix("D1-") for each in found)


def state(name: str, order: int = 1) -> str:
    return str(expected(name)["orders"][order - 1]["state"])


@pytest.mark.parametrize("name", NAMES)
async def test_a_fixture_runs_without_a_difference(name: str) -> None:
    played = await play_order(FIXTURES / name, codec())
    assert played.difference == ""


@pytest.mark.parametrize("kind", OrderKind)
def test_every_kind_has_at_least_four(kind: OrderKind) -> None:
    assert sum(1 for name in NAMES if name.startswith(f"{kind}/")) >= 4


PATHS = [
    (
        "enable/new_service",
        "ConnSPAtSrceAndInstMtr > DeviceCommission > RemoteConnect > OnDemandReadScalar",
    ),
    ("enable/already_enabled", ""),
    ("enable/no_remote_command", "TurnOnMeter > ReadMeter"),
    ("disable/smart_meter", "RemoteDisconnect > OnDemandReadScalar"),
    ("disable/read_fails", "RemoteDisconnect > OnDemandReadScalar > ReadMeter"),
    ("cut/smart_meter", "RemoteDisconnect"),
    ("cut/payment_voids", ""),
    ("reconnect/smart_meter", "RemoteConnect"),
    ("reconnect/cut_at_the_source", "ReconnectForPayment"),
    (
        "exchange/was_on",
        "ExchangeMeter > DeviceCommission > RemoteConnect > DeviceDecommission"
        " > OnDemandReadScalar",
    ),
    (
        "exchange/was_off",
        "ExchangeMeter > DeviceCommission > DeviceDecommission > OnDemandReadScalar",
    ),
    ("back_to_back/off_and_on", "RemoteDisconnect > RemoteConnect > OnDemandReadScalar"),
]

WAIT, SCHEDULED = "CM-WaitForMeasurement", "CM-WaitForScheduledRead"
MEASURED = [
    ("enable/interval_data_arrive", f"{WAIT} completed", 1_000.0, "501000"),
    ("enable/interval_data_poor", f"{WAIT} completed", 1_000.0, "401000"),
    ("enable/interval_data_bad_then_revised", f"{WAIT} completed", 8_000.0, "501000"),
    ("enable/interval_data_good_then_revised", f"{WAIT} completed", 3_000.0, "501000"),
    ("disable/within_the_day", f"{WAIT} completed", 900.0, "501000"),
    (
        "disable/interval_data_late",
        f"{WAIT} timed_out, D1-ReadMeter completed, {WAIT} timed_out",
        49_000.0,
        "501000",
    ),
    ("disable/interval_data_never", f"{WAIT} timed_out", None, None),
    (
        "disable/read_data_late",
        "D1-OnDemandReadScalar failed, D1-ReadMeter completed",
        6_610.0,
        "501000",
    ),
    ("enable/scheduled_read", f"{SCHEDULED} completed", 176_400.0, "501000"),
    (
        "enable/scheduled_read_missed",
        f"{SCHEDULED} timed_out, D1-ReadMeter completed",
        46_200.0,
        "501000",
    ),
]


@pytest.mark.parametrize(("name", "attempts", "ended", "condition"), MEASURED)
def test_the_measurement_check_ends_as_the_data_that_arrive_have_it(
    name: str, attempts: str, ended: float | None, condition: str | None
) -> None:
    """Every value comes as DataArrived; an order that waits is told when it is loaded, and not
    at its next poll. One that waits for people is left to them, whatever arrives."""
    (order,) = expected(name)["orders"]
    made = ", ".join(f"{each['does']} {each['state']}" for each in order["children"])
    assert made == attempts
    assert order["ended_at"] == ended
    assert order["fields"].get("readCondition") == condition
    assert (order["problem"] == "no_reading") == (ended is None)


@pytest.mark.parametrize(("name", "does"), PATHS)
def test_the_typical_paths_are_among_them(name: str, does: str) -> None:
    assert children(name) == does


def test_a_cut_at_the_source_is_recorded_truly() -> None:
    (place,) = expected("cut/at_the_source")["world"]
    assert (place["connected"], place["disconnect_location"]) == (False, "D1SR")
    assert (place["status"], place["switch"]) == ("Conn-Comm", "Connected")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("enable/command_changes_nothing", "no_progress"),
        ("enable/nothing_changes", "no_progress"),
        ("back_to_back/reconnect_fails", "customer_without_supply"),
        ("disable/life_support", "restricted"),
        ("cut/protected", "restricted"),
    ],
)
def test_what_cannot_go_on_waits_for_people_with_its_reason(name: str, problem: str) -> None:
    (todo,) = expected(name)["todo"]
    assert todo["code"] == problem


def test_a_customer_left_dark_is_the_most_urgent_of_all() -> None:
    dark = expected("back_to_back/reconnect_fails")["todo"][0]["priority"]
    others = [
        item["priority"]
        for name in NAMES
        for item in expected(name)["todo"]
        if item["code"] != "customer_without_supply"
    ]
    assert others
    assert dark > max(others)


def test_a_cancelled_order_restores_supply_before_it_ends() -> None:
    assert state("back_to_back/cancel_when_dark") == "Discarded"
    (place,) = expected("back_to_back/cancel_when_dark")["world"]
    assert place["switch"] == "Connected"


@for_every("name", NAMES)
def test_every_order_is_acknowledged_first_and_every_final_one_answered_last(name: str) -> None:
    for order in expected(name)["orders"]:
        kinds = [reply["kind"] for reply in order["replies"]]
        assert kinds[0] == "acknowledgement"
        ends = {"Completed": "success", "Discarded": "failure"}
        if order["state"] in ends:
            assert kinds.count(ends[order["state"]]) == 1


@for_every("name", NAMES)
def test_every_child_names_the_algorithm_that_made_it(name: str) -> None:
    for order in expected(name)["orders"]:
        assert all(child["algorithm"] for child in order["children"])


@for_every("name", NAMES)
def test_records_and_switches_agree_at_the_end(name: str) -> None:
    """Where nobody waits for people, the records say of every switch what the street says."""
    found = expected(name)
    if found["todo"]:
        return
    for place in found["world"]:
        if place["switch"] is not None:
            on = place["status"] in ("Conn-Comm", "Conn-PreComm", "Conn-Decomm")
            assert on == (place["switch"] == "Connected"), place


# ---------------------------------------------------------------- the runner itself


def copy_of(name: str, folder: Path) -> Path:
    place = folder / name
    shutil.copytree(FIXTURES / name, place)
    return place


def test_the_first_difference_is_named(tmp_path: Path) -> None:
    place = copy_of("cut/smart_meter", tmp_path)
    text = (place / "expected.json").read_text()
    assert "Disconn-Comm" in text
    (place / "expected.json").write_text(text.replace('"Disconn-Comm"', '"Conn-Comm"'))
    (played,) = play_orders([place], codec=codec())
    assert played.difference.startswith("world[0].status: expected")


def test_another_seed_or_crew_makes_another_run(tmp_path: Path) -> None:
    place = copy_of("cut/at_the_source", tmp_path)
    text = (place / "order.toml").read_text()
    (place / "order.toml").write_text(text.replace("cut_at_source", "no_access"))
    (played,) = play_orders([place], codec=codec())
    assert played.difference


def test_recording_again_gives_the_same_bytes(tmp_path: Path) -> None:
    place = copy_of("enable/new_service", tmp_path)
    before = (place / "expected.json").read_bytes()
    list(record_orders([place], codec=codec()))
    assert (place / "expected.json").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("shows = 1", "shows"),
        ('shows = "x"\nact = [{do = "dance"}]', "dance"),
        ('shows = "x"\nact = []\ncolor = 1', "color"),
        ("shows = ", "order.toml"),
    ],
)
def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "order.toml").write_text(text)
    with pytest.raises(BadScenario, match=named):
        read_order_scenario(tmp_path)


def test_an_act_about_no_order_is_refused(tmp_path: Path) -> None:
    (tmp_path / "order.toml").write_text('shows = "x"\nact = [{do = "cancel", at = 1.0}]')
    with pytest.raises(BadScenario, match="no order 1"):
        list(record_orders([tmp_path], codec=codec()))


def test_expectations_hold_nothing_of_a_machine() -> None:
    for file in FIXTURES.rglob("expected.json"):
        text = file.read_text()
        assert "127.0.0.1" not in text
        json.loads(text)
