"""The pages Completeness, Meter and Head end say what is so, and their buttons do it."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from adapter.engine.upkeep.durations import DurationFilter, HourOf, Measure, Spread
from adapter.store.upkeep.durations import SqliteDurations
from adapter.web.api.head_end import CertificateEnd, HeadEndFacts
from tests.support import every_case
from tests.web.both_servers import NOON, Rig
from tests.web.console.visitor import Visitor, a_visitor, tags_of
from tests.web.test_completeness import reported


@asynccontextmanager
async def a_site(by: str = "operator") -> AsyncIterator[tuple[Rig, Visitor]]:
    """It is 13:00 of the third of March; see `reported`."""
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(reported())
        yield rig, await stack.enter_async_context(a_visitor(rig, by))


def words(html: str) -> str:
    """What stands on a page, without its elements."""
    text = re.sub(r"<(script|style|title)[^>]*>.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


async def test_the_map_and_the_lists_are_those_of_the_rest_interface() -> None:
    async with a_site("reader") as (_, visitor):
        shown = await visitor.open("/completeness?group=NORTH&gap=incomplete")
        text = words(shown.text)
        assert "1 of 3 meters have reported" in text
        assert "1 meter: incomplete 2026-03-02" in text
        assert "24 of 96" in text
        told = [attributes.get("title") for tag, attributes in tags_of(shown.text) if tag == "td"]
        assert "NORTH, 2026-03-02: 3 of 3 reported, 2 whole, 0 with values in doubt, 1 late" in told
        days = [each[7:17] for each in told if each and each.startswith("NORTH, ")]
        assert len(days) > 2
        assert days == sorted(days, reverse=True)
        silent = words((await visitor.open("/completeness?gap=not_since")).text)
        assert "since since" not in silent
        everybody = words((await visitor.open("/completeness")).text)
        for group in ("ALL", "NORTH", "SOUTH", "(in none)"):
            assert f" {group} " in everybody


async def test_they_are_read_again_by_the_button_with_the_dry_count_as_bound() -> None:
    async with a_site() as (rig, visitor):
        shown = await visitor.open("/completeness?group=SOUTH")
        assert "2 meters would be asked" in words(shown.text)
        link = next(
            attributes["href"]
            for tag, attributes in tags_of(shown.text)
            if tag == "a" and (attributes.get("href") or "").startswith("/console/do/read-again")
        )
        assert link is not None
        form = await visitor.open(link.removeprefix("/console"))
        given = {
            str(attributes["name"]): attributes.get("value") or ""
            for tag, attributes in tags_of(form.text)
            if tag == "input" and attributes.get("name") not in (None, "csrf")
        }
        assert given["at_most"] == "2"
        given |= {"gap": "not_since", "kind": "on_demand_read_interval"}
        refused = await visitor.send("/do/read-again", {**given, "reason": "x", "at_most": "1"})
        assert refused.status == 409
        assert (await rig.ask("GET", "/commands"))["items"] == []
        unsaid = await visitor.send("/do/read-again", {**given, "reason": ""})
        assert unsaid.status == 422
        done = await visitor.send("/do/read-again", {**given, "reason": "after the storm"})
        assert done.status == 200
        (command,) = (await rig.ask("GET", "/commands"))["items"]
        assert command["devices"] == ["P4", "P5"]
        assert command["requester"] == "operator"


async def test_who_may_only_read_gets_no_form() -> None:
    async with a_site("reader") as (_, visitor):
        assert (await visitor.open("/do/read-again?gap=not_since")).status == 403


async def test_a_meter_shows_its_month_and_what_is_missing_in_it() -> None:
    async with a_site("reader") as (_, visitor):
        shown = await visitor.open("/meters/P2?month=2026-03")
        text = words(shown.text)
        assert "168 of 192 intervals are missing" in text
        assert "Held by open commands Nothing" in text
        classes = [a.get("class") or "" for tag, a in tags_of(shown.text) if tag == "rect"]
        assert sum("missing" in each for each in classes) >= 18 + 24
        other = words((await visitor.open("/meters/P2?month=2026-01")).text)
        assert "No intervals came in this month" in other


async def test_a_meter_says_by_what_it_is_on_and_who_holds_it() -> None:
    async with a_site("reader") as (rig, visitor):
        body = {"kind": "remote_disconnect", "devices": ["M1"], "idempotency_key": "k"}
        made = await rig.ask("POST", "/commands", body)
        text = words((await visitor.open("/meters/M1")).text)
        assert "on Since 2026-01-31 12:00:00" in text
        assert "By import" in text
        assert f"switch:M1 {made['id']}" in text


async def test_what_is_no_meter_or_no_month_is_said() -> None:
    async with a_site("reader") as (_, visitor):
        with every_case() as case:
            for path, status in (
                ("/meters/nobody", 404),
                ("/meters/P1?month=2026-13", 422),
                ("/meters/P1?month=0001-01", 422),
                ("/meters/P1?month=9999-12", 422),
                ("/meters/P1?component=nothing", 200),
                ("/completeness?day=x", 422),
                ("/completeness?gap=x", 422),
                ("/head-end?operation=nothing", 200),
                ("/meters?device=nobody", 200),
            ):
                with case(path):
                    assert (await visitor.open(path)).status == status


def some(count: int, seconds: float) -> Spread:
    made = Spread()
    for _ in range(count):
        made.add(seconds)
    return made


async def test_the_head_end_is_compared_with_last_week() -> None:
    async with a_site("reader") as (rig, visitor):
        operation = "DataService.ContingencyReadByEndpoints"
        hour = (NOON + timedelta(hours=24)).replace(minute=0)
        rows = [
            HourOf(hour=hour, measure=Measure.CALL, name=operation, spread=some(10, 4.0)),
            HourOf(
                hour=hour - timedelta(days=7),
                measure=Measure.CALL,
                name=operation,
                spread=some(8, 0.2),
            ),
            HourOf(
                hour=hour, measure=Measure.TOKEN_TO_RESULT, name=operation, spread=some(3, 70.0)
            ),
            HourOf(
                hour=hour,
                measure=Measure.ARRIVAL_TO_SEEN,
                name="RequestStatusChangedService.StatusChanged",
                spread=some(1, 0.1),
            ),
        ]
        store = SqliteDurations(rig.store.database)
        await store.add_durations(rows, forget_before=NOON - timedelta(days=99))
        assert len(await store.durations(DurationFilter(measure=Measure.CALL))) == 2
        rig.rest.api.head_end = HeadEndFacts(
            name="openway",
            base_url="http://head-end.example",
            contract="the packaged WSDL",
            certificates=lambda: (
                CertificateEnd(whose="ours", ends=NOON + timedelta(days=5)),
                CertificateEnd(whose="the API's", ends=None, problem="no such file"),
            ),
        )
        shown = await visitor.open("/head-end")
        text = words(shown.text)
        assert "ContingencyReadByEndpoints 10 4.0 s 4.0 s 200 ms 0 0 0" in text
        assert "Healed by polling 2 at least" in text
        assert "ends 2026-03-07" in text
        assert "cannot be read no such file" in text
        (chart,) = [a for tag, a in tags_of(shown.text) if "data-x" in a]
        assert (chart["data-x"] or "").count(",") == 23
        assert '"p95 last week"' in (chart["data-series"] or "")
