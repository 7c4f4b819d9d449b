"""Caps, quotas and what is spread, as a settings file has them."""

from pathlib import Path

import pytest

from adapter.commands.flows import OPENING_KINDS, Operation
from adapter.commands.usage_limits import CallQuota, CountedBy, SwitchCap, SwitchSpread
from adapter.errors import SettingsError
from adapter.service.app import command_settings
from adapter.service.settings import load, load_with_origin
from adapter.service.settings_table import shown
from tests.support import every_case

WHOLE = """
[switch]
time_zone = "Europe/Zagreb"

[[switch.cap]]
name = "feeders"
by = "group"
prefix = "F-"
per_hour = 50

[[switch.spread]]
orders = ["cut"]
over_s = 21600

[[engine.quota]]
name = "reads"
operations = ["DataService.ContingencyReadByEndpoints"]
per_day = 10
"""


def given(folder: Path, text: str) -> Path:
    file = folder / "openway.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_they_are_read_and_shown(tmp_path: Path) -> None:
    file = given(tmp_path, WHOLE)
    limits = command_settings(load(file, {})).dispatch.limits
    assert limits.zone == "Europe/Zagreb"
    assert limits.caps == (SwitchCap(name="feeders", by=CountedBy.GROUP, prefix="F-", per_hour=50),)
    reads = frozenset({Operation.CONTINGENCY_READ})
    assert limits.quotas == (CallQuota(name="reads", operations=reads, per_day=10),)
    spread = load(file, {}).switch.spread
    assert spread == (SwitchSpread(orders=("cut",), over_s=21_600.0),)
    assert spread[0].kinds == OPENING_KINDS
    values = {each.name: each.value for each in shown(load_with_origin(file, {}))}
    assert values["switch.cap.1.per_hour"] == "50"
    assert values["engine.quota.1.name"] == "reads"


def test_without_them_there_are_none(tmp_path: Path) -> None:
    settings = command_settings(load(given(tmp_path, ""), {}))
    assert not settings.dispatch.limits.any
    assert settings.dispatch.switch.spread == ()


def test_what_is_wrong_with_one_is_said_by_its_name(tmp_path: Path) -> None:
    cap, quota = '[[switch.cap]]\nname = "x"\n', '[[engine.quota]]\nname = "x"\n'
    with every_case() as case:
        for text, told in (
            (cap, "switch.cap.1.per_day: per_hour or per_day is needed"),
            (cap + "per_day = -1", "switch.cap.1.per_day"),
            (cap + "per_dya = 1", "did you mean per_day"),
            (cap + 'per_day = 1\nby = "feeder"', "switch.cap.1.by"),
            (cap + "per_day = 1\n" + quota + "per_day = 1", "x: a name is given twice"),
            (quota, "engine.quota.1.per_day: is needed"),
            (
                quota + 'per_day = 1\noperations = ["RequestService.GetRequestStatus"]',
                "only follows up",
            ),
            ('[[switch.spread]]\norders = ["cuts"]\nover_s = 5', "did you mean cut"),
            ("[[switch.spread]]\n", "switch.spread.1.over_s: is needed"),
        ):
            with case(text), pytest.raises(SettingsError) as error:
                load(given(tmp_path, text), {})
            with case(text):
                assert told in str(error.value)
