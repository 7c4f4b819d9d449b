"""A number is written one way, wherever it comes from: payloads, REST, CSV, the command line."""

import json
from decimal import Decimal
from pathlib import Path

import click
import msgspec
import pytest

from adapter.cli.numbers import WholeNumber
from adapter.cli.readings_files import read_readings
from adapter.cli.times import SECONDS
from adapter.engine.readings.tables import read_tables
from adapter.errors import GatewayError, InvalidRequest, SettingsError
from adapter.fieldwork.messages import BadReport, read_report
from adapter.model.decimals import decimal_of_json, read_decimal
from adapter.model.entered_value import read_value
from adapter.settings.conversion import from_text
from adapter.web.api.call import decimal_of
from tests.support import for_every
from tests.web.both_servers import a_rig

NUMBERS = ("0", "-0.5", "+1", "1.", ".5", "12.340", "1e3", "1E-05", "007", "123456789.123456789")
SHORTENED = ("4.71E+06", "-1.5E+12", "4,71E+06", " 4.71E+06 ")
"""What a spreadsheet leaves: payloads have numbers like it from a machine, people have not."""
LONG = ("1" * 30, "1" * 40, "0." + "1" * 29, "1e29", "1e-29")
NONE = (
    "", "1_000", "١٢", "１２", "²", "1,5", "1 000", "1'000", "0x10", "NaN", "inf", "-Infinity",
    "INF", "e5", "1e", "1e9999", "--1", "+-1", ".", "1.2.3", "1" * 200, "1\x00", "true",
)  # fmt: skip


@for_every("text", NUMBERS)
def test_what_is_a_number_is_one_at_every_door(text: str, tmp_path: Path) -> None:
    assert read_decimal(text) == Decimal(text)
    assert decimal_of_json(json.dumps(text).encode()) == Decimal(text)
    assert from_text(float, text) == float(text)
    (row,) = _csv(text, tmp_path)
    assert row["value"] == text
    assert _reported(text) == Decimal(text)


@for_every("text", (*SHORTENED, *LONG))
def test_what_a_spreadsheet_shortened_or_has_too_many_digits_no_person_enters(
    text: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError):
        read_value(text)
    with pytest.raises(GatewayError):
        _csv(text, tmp_path)
    with pytest.raises(BadReport):
        _reported(text)
    with pytest.raises(InvalidRequest):
        decimal_of("readings[0].value", msgspec.Raw(json.dumps(text).encode()))


@for_every("text", NONE)
def test_what_is_none_is_none_at_every_door(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        read_decimal(text)
    with pytest.raises(ValueError):
        decimal_of_json(json.dumps(text).encode())
    assert from_text(float, text) == text
    assert from_text(int, text) == text
    with pytest.raises(GatewayError):
        _csv(text, tmp_path)
    with pytest.raises(BadReport):
        _reported(text)
    with pytest.raises(click.BadParameter):
        SECONDS.convert(text, None, None)
    with pytest.raises(click.BadParameter):
        WholeNumber(0, 10**50).convert(text, None, None)
    with pytest.raises(SettingsError):
        read_tables({"quantities": {"Wh d": {"unit": "Wh", "multiplier": text}}})


async def test_rest_takes_a_reading_in_the_same_spelling_only() -> None:
    """In a text and as a number; what is refused names the place."""
    async with a_rig() as rig:
        values: tuple[object, ...] = (*NONE, True, None, [], {}, "1\\u0030")
        for value in values:
            reading = {"device": "M1", "component": "c", "at": "2026-03-01T00:00:00Z"}
            body = json.dumps({"measurements": [{**reading, "value": value}]})
            told = await rig.ask("POST", "/measurements", body.encode(), by="operator")
            assert told.status == 422, value
            assert told["field"] == "measurements[0].value", value
        for number in ("4.71E+06", '"4.71E+06"', "1" * 40, '"' + "1" * 40 + '"'):
            body = json.dumps({"measurements": [{**reading, "value": "@"}]})
            body = body.replace('"@"', number)
            told = await rig.ask("POST", "/measurements", body.encode(), by="operator")
            assert (told.status, told["field"]) == (422, "measurements[0].value"), number


async def test_rest_takes_a_wait_in_the_same_spelling_only() -> None:
    async with a_rig() as rig:
        for wait in ("1_0", "nan", "inf", "١", "0x1"):
            told = await rig.ask("GET", f"/commands/{'0' * 26}?wait={wait}")
            assert told.status == 422, wait


def test_seconds_are_written_in_ascii() -> None:
    with pytest.raises(click.BadParameter):
        SECONDS.convert("١٢h", None, None)
    assert SECONDS.convert("1.5h", None, None) == 5400.0


def _csv(value: str, folder: Path) -> list[dict[str, object]]:
    path = folder / "r.csv"
    cell = '"' + value + '"'
    path.write_text(f"device,component,at,value\nM1,c,2026-03-01T00:00:00Z,{cell}\n", "utf-8")
    return [dict(each) for each in read_readings(path)]


def _reported(value: str) -> Decimal:
    reading = {"component": "c", "at": "2026-03-01T00:00:00Z", "value": value}
    work = {"at": "2026-03-01T00:00:00Z", "readings": [reading]}
    told = {"kind": "work_reported", "id": "R1", "activity": "F1", "work": work}
    news = read_report(json.dumps(told).encode()).news
    return news.report.measurements[0].value  # type: ignore[union-attr]
