"""Questions of the night, each answered by clicks: silent meters, one meter's month, a slow day."""

from datetime import timedelta

import pytest
from playwright.async_api import expect

from adapter.engine.upkeep.durations import HourOf, Measure, Spread
from adapter.store.upkeep.durations import SqliteDurations
from tests.support import every_case
from tests.web.both_servers import NOON, Rig
from tests.web.console.browser import PHONE, WIDE, a_tab, needs_chromium
from tests.web.test_completeness import reported

pytestmark = [needs_chromium, pytest.mark.seconds(280), pytest.mark.timeout(300)]
PAGES = ("/completeness?gap=incomplete", "/meters/P2?month=2026-03", "/head-end", "/meters")


async def slow(rig: Rig) -> None:
    """Now ten times as slow as a week ago."""
    hour = NOON + timedelta(hours=24)
    rows = []
    for at, seconds in ((hour, 4.0), (hour - timedelta(days=7), 0.2)):
        spread = Spread()
        for _ in range(10):
            spread.add(seconds)
        rows.append(
            HourOf(hour=at, measure=Measure.CALL, name="DataService.PingByEndpoints", spread=spread)
        )
    store = SqliteDurations(rig.store.database)
    await store.add_durations(rows, forget_before=NOON - timedelta(days=99))


async def test_which_meters_are_silent_and_what_was_one_of_them_doing() -> None:
    async with reported() as rig, a_tab(rig, "operator") as tab:
        await tab.open("/completeness")
        page = tab.page
        await page.get_by_role("link", name="NORTH", exact=True).click()
        await expect(page.locator("h1")).to_have_text("Completeness: NORTH")
        await page.get_by_role("link", name="incomplete yesterday").click()
        listed = page.locator("#list")
        await expect(listed).to_contain_text("less than half of the intervals")
        await expect(listed).to_contain_text("24 of 96")
        await listed.get_by_role("link", name="P2").click()
        await expect(page.locator("#live_month")).to_contain_text("intervals are missing")
        await expect(page.locator("svg.month rect.missing").first).to_be_visible()
        await page.get_by_role("link", name="Read switch state now").click()
        await expect(page.get_by_label("Meters")).to_have_value("P2")
        assert tab.wrong == []


async def test_they_are_read_again_by_keyboard_alone() -> None:
    async with reported() as rig, a_tab(rig, "operator") as tab:
        await tab.open("/completeness?group=SOUTH")
        page = tab.page
        await page.get_by_role("link", name="Read them again").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("Meters at most")).to_have_value("2")
        await page.get_by_label("Reason").focus()
        await page.keyboard.type("after the storm")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status").first).to_be_visible()
        (command,) = (await rig.ask("GET", "/commands"))["items"]
        assert command["devices"] == ["P4", "P5"]


async def test_is_the_head_end_slow_today() -> None:
    async with reported() as rig, a_tab(rig, "reader") as tab:
        await slow(rig)
        await tab.open("/head-end")
        row = tab.page.locator("#live_operations tr", has_text="PingByEndpoints")
        await expect(row.locator(".doubt-text")).to_have_text("4.0 s")
        await expect(tab.page.locator("#chart-latency canvas")).to_be_visible()
        await tab.page.get_by_text("The same as a table").click()
        await expect(tab.page.locator("#latency-table tbody tr")).to_have_count(24)
        assert tab.wrong == []


async def test_axe_finds_nothing_serious_where_there_are_figures() -> None:
    async with reported() as rig:
        await slow(rig)
        async with a_tab(rig, "operator") as tab:
            with every_case() as case:
                for path in PAGES:
                    with case(path):
                        await tab.open(path)
                        assert await tab.axe() == []
                        assert tab.wrong == []


async def test_they_fit_a_screen_and_a_phone() -> None:
    async with reported() as rig:
        await slow(rig)
        async with a_tab(rig, size=PHONE) as phone, a_tab(rig, size=WIDE) as screen:
            with every_case() as case:
                for path in PAGES:
                    with case(path):
                        await phone.open(path)
                        assert await phone.overflow() == 0
                        await screen.open(path)
                        assert await screen.overflow() == 0
                        assert await screen.height() <= WIDE[1]
