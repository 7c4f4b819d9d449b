"""Numbers and times of messages, settings, tables and files: the range stands where it is read."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from adapter.cli.readings_files import read_readings
from adapter.commands.timing import in_utc
from adapter.engine.events.tables import read_event_tables
from adapter.engine.readings.tables import read_tables
from adapter.errors import GatewayError, InvalidRequest, SettingsError
from adapter.fieldwork.messages import BadReport, read_report
from adapter.model.entered_value import is_bounded
from adapter.model.whole_numbers import LONG, ROW, XS_INTEGERS, Span, read_whole
from adapter.registry.csv_file import read_csv
from adapter.service.orders_file import rules_of
from adapter.service.settings import load
from adapter.simulator.settings import SimulatorConfig
from adapter.wire.scalars import from_text, to_text
from adapter.wire.shapes import Scalar
from tests.support import for_every

HUGE = (2**63, -(2**63) - 1, 10**30, -(10**30))


@pytest.mark.parametrize("kind", XS_INTEGERS)
def test_an_integer_type_of_a_message_has_the_contracts_range(kind: str) -> None:
    read, write, span = from_text(Scalar(kind)), to_text(Scalar(kind)), XS_INTEGERS[kind]
    for number in span:
        assert read(str(number)) == number
        assert write(number) == str(number)
    for number in (span.least - 1, span.most + 1, *(n for n in HUGE if not span.holds(n))):
        with pytest.raises(ValueError, match=r"is not in|is not a whole number"):
            read(str(number))
        with pytest.raises(ValueError, match="is outside"):
            write(number)


@pytest.mark.parametrize("text", ["", " ", "x", "²", "٣", "1_0", "1.0", "1e3", "--1", "9" * 5000])
def test_what_is_no_whole_number_is_refused_with_the_range(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a whole number, 1 to 5|not in 1 to 5"):
        read_whole(text, Span(1, 5))


def test_the_numbers_of_rows_are_those_that_the_store_can_hold() -> None:
    assert read_whole(str(2**63 - 1), ROW) == ROW.most
    assert read_whole(str(-(2**63)), LONG) == LONG.least


SETTINGS = (
    "engine.concurrency", "engine.lease_s", "listener.data_bytes", "api.body_bytes",
    "intake.retention_days", "retention.events_days", "commands.remote_connect.expires_s",
    "commands.remote_connect.retry.attempts", "schedules.longest_catch_up_s", "listener.port",
    "orders.message_tries", "head_end.limits.concurrency", "subscriptions.check_every_s",
)  # fmt: skip


def _of_settings(name: str, value: object, folder: Path) -> object:
    path = folder / "openway.toml"
    section, _, key = name.rpartition(".")
    path.write_text(f"[{section}]\n{key} = {value}\n")
    return load(path, {})


@pytest.mark.parametrize("value", [2**63, 10**30, "1e300", "inf", "nan", -1])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_number_of_the_settings_has_a_range(name: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=name.rpartition(".")[2]):
        _of_settings(name, value, tmp_path)


def _quantity(multiplier: str) -> object:
    return read_tables({"quantities": {"Gas": {"unit": "m3", "multiplier": multiplier}}})


@pytest.mark.parametrize("multiplier", ["0", "0.0", "-0", "-0.001", "0e5"])
def test_a_quantity_is_not_made_zero_or_turned_round_by_its_multiplier(multiplier: str) -> None:
    with pytest.raises(SettingsError, match="multiplier must be above zero"):
        _quantity(multiplier)


def _condition(code: object) -> object:
    return read_tables({"conditions": {"Odd": code}})


def _event(number: object) -> object:
    return read_event_tables({"event": [{"name": "x", "standard": "y", "number": number}]})


def _storm(publications: object) -> object:
    rule = {"category": "x", "publications": publications, "window_s": 1.0}
    return read_event_tables({"storm": [rule]})


def _component(seconds: object) -> object:
    header = "device,components,service_point,installed_at,install_status\n"
    return read_csv(f"{header}D1,c|interval|Wh d|kWh|{seconds},S1,,\n", "devices.csv")


def _reads(at: datetime) -> object:
    return rules_of({"measurement_cycle": {"M": {"reads": [at]}}})


def _pass_bound(number: object) -> object:
    return rules_of({"orders": {"activity_type": {"cut": {"pass_bound": number}}}})


def _simulated(number: object) -> object:
    return SimulatorConfig.read({"limits": {"subscribers": number}})


BAD: list[tuple[Callable[..., object], object]] = [
    *((_quantity, text) for text in ("1e21", "1e-21", "1e999999", "0." + "1" * 40, "nan", "inf")),
    *((_condition, code) for code in (99_999, 1_000_000, 2**63, 10**30, True)),
    *((_event, number) for number in (2**31, -(2**31) - 1, 10**30, "1")),
    *((_storm, number) for number in (-1, 10**10, 10**30)),
    *((_component, text) for text in ("-1", "31622401", str(2**63), str(10**30), "²", "٣", "1_0")),
    *((_pass_bound, number) for number in (0, 10_001, 2**63, 10**30)),
    *((_simulated, number) for number in (-1, 2**63, 10**30, float("inf"), float("nan"))),
    (_reads, datetime(1, 1, 1, tzinfo=UTC)),
    (_reads, datetime(9999, 12, 31, tzinfo=UTC)),
]


@for_every(("read", "value"), BAD, ids=lambda each: getattr(each, "__name__", str(each)[:24]))
def test_a_number_of_a_file_has_a_range(read: Callable[..., object], value: object) -> None:
    with pytest.raises(GatewayError):
        read(value)


@pytest.mark.parametrize(
    "at",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime(9999, 12, 31, 23, tzinfo=UTC).replace(tzinfo=UTC) + timedelta(minutes=1),
    ],
)
def test_a_time_at_the_edges_of_the_calendar_is_refused(at: datetime) -> None:
    with pytest.raises(InvalidRequest, match="years 1900 to 8999"):
        in_utc("at", at)


def _report(**more: object) -> bytes:
    import json

    return json.dumps({"id": "r", "activity": "a", **more}).encode()


EDGES = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00Z")


@pytest.mark.parametrize("at", EDGES)
@pytest.mark.parametrize("kind", ["appointment_booked", "rescheduled", "work_reported"])
def test_a_field_report_at_the_edges_of_the_calendar_is_refused(kind: str, at: str) -> None:
    more: dict[str, object] = {"start": at, "end": "2026-03-01T00:00:00Z"}
    if kind == "work_reported":
        more = {"work": {"at": at}}
    if kind == "rescheduled":
        more["reason"] = "x"
    with pytest.raises(BadReport, match=r"year|after start"):
        read_report(_report(kind=kind, **more))


@pytest.mark.parametrize("value", ["1e61", "1e-61", "1e999999", "NaN", "Infinity", "1" * 200])
def test_a_reading_of_absurd_digits_is_refused_everywhere(value: str, tmp_path: Path) -> None:
    assert not is_bounded(Decimal(value))
    reading = {"component": "c", "at": "2026-03-01T00:00:00Z", "value": value}
    work = {"at": "2026-03-01T00:00:00Z", "readings": [reading]}
    with pytest.raises(BadReport):
        read_report(_report(kind="work_reported", work=work))
    path = tmp_path / "readings.csv"
    path.write_text(f"device,component,at,value\nD1,c,2026-03-01T00:00:00Z,{value}\n")
    with pytest.raises(GatewayError, match="digits"):
        read_readings(path)


@pytest.mark.parametrize("condition", ["-1", "1000000", "²", "٣", "9" * 5000])
def test_the_condition_of_a_reading_in_a_file_has_a_range(condition: str, tmp_path: Path) -> None:
    path = tmp_path / "readings.csv"
    row = f"D1,c,2026-03-01T00:00:00Z,1,{condition}"
    path.write_text(f"device,component,at,value,condition\n{row}\n", encoding="utf-8")
    with pytest.raises(GatewayError, match="0 to 999999"):
        read_readings(path)
