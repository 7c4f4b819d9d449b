"""Files of readings that people have: what is read, and that every mistake names its place."""

from pathlib import Path

import pytest

from adapter.cli.readings_files import read_readings
from adapter.engine.registry.imports import ImportRefused

GOOD = "device,component,at,value,condition\nM1,kwh,2026-03-01T06:00:00Z,12.50,\n,,,,\n"
MORE = "M2,kwh,2026-03-01T07:00:00+01:00,7,401000\n"


def written(folder: Path, text: str, name: str = "r.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_and_json_give_the_same(tmp_path: Path) -> None:
    rows = [dict(each) for each in read_readings(written(tmp_path, "\ufeff" + GOOD + MORE))]
    assert rows == [
        {"device": "M1", "component": "kwh", "at": "2026-03-01T06:00:00Z", "value": "12.50",
         "condition": 501000},
        {"device": "M2", "component": "kwh", "at": "2026-03-01T07:00:00+01:00", "value": "7",
         "condition": 401000},
    ]  # fmt: skip
    text = (
        '{"measurements": [{"device": "M1", "component": "kwh", "at": "2026-03-01T06:00:00Z",'
        ' "value": 12.50}, {"device": "M2", "component": "kwh",'
        ' "at": "2026-03-01T07:00:00+01:00", "value": 7, "condition": 401000}]}'
    )
    assert [dict(each) for each in read_readings(written(tmp_path, text, "r.json"))] == rows


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("device,component,at\n", "r.csv, row 1, value: is needed"),
        ("device,component,at,valu\n", "r.csv, row 1, valu: unknown column; did you mean value?"),
        (GOOD[:36], "r.csv, row 0: has nothing to load"),
        (GOOD + "M1,kwh,2026-03-01T06:00:00Z\n", "r.csv, row 4: has another number of cells"),
        (GOOD + ",kwh,2026-03-01T06:00:00Z,1,\n", "r.csv, row 4, device: is needed"),
        (GOOD + "M1,kwh,,1,\n", "r.csv, row 4, at: is needed"),
        (GOOD + "M1,kwh,today,1,\n", "r.csv, row 4, at: is no time"),
        (GOOD + "M1,kwh,2026-03-01T06:00:00,1,\n", "r.csv, row 4, at: needs a zone"),
        (GOOD + "M1,kwh,2026-03-01T06:00:00Z,NaN,\n", "r.csv, row 4, value: must be a number"),
        (GOOD + "M1,kwh,2026-03-01T06:00:00Z,1_0,\n", "r.csv, row 4, value: must be a number"),
        (GOOD + "M1,kwh,2026-03-01T06:00:00Z,\u0661\u0662,\n", "r.csv, row 4, value: must be"),
        (GOOD + "M1,kwh,2026-03-01T06:00:00Z,1e9999,\n", "r.csv, row 4, value: must be a number"),
        (GOOD + "M1,kwh,2026-03-01T06:00:00Z,4.71E+06,\n", "r.csv, row 4, value: 4.71E+06 is a"),
        (GOOD + "M1,kwh,2026-03-01T06:00:00Z,=A1,\n", "r.csv, row 4, value: =A1 is a formula"),
        (GOOD + "M1,kwh,2026-03-01T06:00:00Z,1,,,\n", "r.csv, row 4: has 2 empty cells more"),
        ("device,component,at,value,,\n", "r.csv, row 1: columns 5 to 6 have no name"),
        ("device;component;at;value\n", "r.csv, row 1: has ; between its cells"),
        (GOOD + "M1,kwh,2026-03-01T06:00:00Z,1,1e6\n", "r.csv, row 4, condition: must be a whole"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_taken(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ImportRefused) as refused:
        read_readings(written(tmp_path, text))
    assert str(refused.value).startswith(complaint)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "r.json, row 0: is not JSON"),
        ("[]", "r.json, row 0, measurements: must be a list of objects"),
        ('{"measurements": [{"vlaue": 1}]}', "r.json, row 1, vlaue: unknown column; did you mean"),
    ],
)
def test_a_mistake_in_json_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ImportRefused) as refused:
        read_readings(written(tmp_path, text, "r.json"))
    assert str(refused.value).startswith(complaint)
