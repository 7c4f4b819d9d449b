"""The console in a browser: what axe finds, the keyboard alone, what lives, what fits."""

import pytest
from playwright.async_api import Page as BrowserPage
from playwright.async_api import expect

from adapter.commands.activity import State
from adapter.server.settings import ConsoleSettings, RestSettings
from adapter.web.console.pages import PAGES
from tests.support import every_case
from tests.web.both_servers import KEYS, TOKENS, a_rig
from tests.web.console.browser import PHONE, WIDE, a_tab, needs_chromium
from tests.web.console.test_buttons import actors, waiting
from tests.web.console.test_pages import a_hostile_site, addresses

pytestmark = [needs_chromium, pytest.mark.seconds(280), pytest.mark.timeout(300)]
QUICK = RestSettings(keys=KEYS, console=ConsoleSettings(refresh_s=0.05))
ONE_LOOK = ("", "/waits", "/commands/{command}", "/orders/{order}")
"""Pages that answer without scrolling."""


async def test_axe_finds_nothing_serious_and_the_browser_complains_of_nothing() -> None:
    """With names that are attacks: the policy would be heard to refuse what they try."""
    async with a_hostile_site("admin") as (rig, _), a_tab(rig, "admin") as tab:
        with every_case() as case:
            for page in PAGES:
                path = (await addresses(rig, page))[-1]
                with case(path):
                    await tab.open(path)
                    assert await tab.axe() == []
                    assert tab.wrong == []
            for path in ("/do/withdraw-key?key=1", "/login", "/nowhere"):
                with case(path):
                    await tab.page.goto(f"{tab.url}/console{path}")
                    assert await tab.axe() == []


async def test_pages_fit_a_phone_and_the_main_ones_a_screen_without_scrolling() -> None:
    async with a_rig() as rig:
        await waiting(rig, State.NEEDS_PERSON, 3)
        order = {"kind": "cut", "service_point": "SP-M1", "reference": "cut 1"}
        assert (await rig.ask("POST", "/orders", order)).status == 202
        await rig.gateway.orders.drain()
        async with a_tab(rig, size=PHONE) as phone, a_tab(rig, size=WIDE) as screen:
            with every_case() as case:
                for page in PAGES:
                    if page.path in ("/keys", "/deliveries/{receiver}", "/schedules/{schedule}"):
                        continue
                    paths = await addresses(rig, page)
                    if not paths:
                        continue
                    with case(page.path):
                        await phone.open(paths[0])
                        assert await phone.overflow() == 0
                        await screen.open(paths[0])
                        assert await screen.overflow() == 0
                        if page.path in ONE_LOOK:
                            assert await screen.height() <= WIDE[1]


async def test_what_changes_is_seen_without_loading_and_the_focus_stays() -> None:
    async with a_rig(rest=QUICK) as rig, a_tab(rig) as tab:
        await tab.open("/waits")
        await expect(tab.page.locator("#live_list")).to_contain_text("Nothing waits")
        (command,) = await waiting(rig, State.COMMUNICATION_ERROR, 1)
        entry = tab.page.get_by_role("link", name="the head end said no")
        await expect(entry).to_be_visible()
        await entry.focus()
        (listed,) = await rig.gateway.upkeep.todo.list()
        await rig.gateway.upkeep.todo.claim(listed.id, by="ann")
        await expect(tab.page.locator("#live_list")).to_contain_text("ann is at it")
        await expect(entry).to_be_focused()
        await rig.gateway.commands.discard(command, by="ann", reason="x")
        await expect(tab.page.locator("#live_list")).to_contain_text("Nothing waits")
        await expect(tab.page.locator("#live_closed")).to_contain_text("the head end said no")
        assert tab.wrong == []


async def test_who_looks_is_told_when_the_page_is_live_no_more() -> None:
    async with a_rig(rest=QUICK) as rig, a_tab(rig) as tab:
        await tab.open("/waits")
        await expect(tab.page.locator("#pulse")).to_have_text("live")
        await rig.rest.stop()
        await expect(tab.page.locator("#pulse")).to_contain_text("not live since")


async def tab_to(page: BrowserPage, name: str) -> None:
    """By the Tab key alone, to what has this name."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        script = "(document.activeElement.textContent || document.activeElement.name || '').trim()"
        if name in str(await page.evaluate(script)):
            return
    raise AssertionError(f"{name} cannot be reached by the Tab key")


async def test_a_stuck_disconnect_is_settled_by_the_keyboard_alone() -> None:
    """What waits for me, and what may I press? By two people, from the first page on."""
    async with a_rig(rest=QUICK) as rig:
        (command,) = await waiting(rig, State.NEEDS_PERSON, 1)
        async with a_tab(rig) as tab:
            keyboard = tab.page.keyboard
            await tab_to(tab.page, "Waits")
            await keyboard.press("Enter")
            await expect(tab.page).to_have_url(f"{tab.url}/console/waits")
            await tab_to(tab.page, "Close as not done")
            await keyboard.press("Enter")
            await expect(tab.page.locator("h1")).to_have_text("Close as not done")
            await tab_to(tab.page, "note")
            await keyboard.type("the lamp was on")
            await keyboard.press("Tab")
            await keyboard.type(TOKENS["approver"])
            await keyboard.press("Enter")
            await expect(tab.page.locator(".notice")).to_have_text("Close as not done: accepted.")
            await expect(tab.page).to_have_url(f"{tab.url}/console/commands/{command}")
        resolution = (await rig.gateway.commands.get(command)).activity.resolution
        assert resolution is not None
        assert (resolution.operator, resolution.approver) == ("switcher", "approver")


async def test_a_stuck_disconnect_is_understood_by_clicks_alone() -> None:
    async with a_rig(rest=QUICK) as rig:
        (command,) = await waiting(rig, State.NEEDS_PERSON, 1)
        async with a_tab(rig) as tab:
            await tab.page.locator("#live_waits").get_by_role("link").first.click()
            await expect(tab.page.locator("h1")).to_contain_text("the head end said no")
            await tab.page.get_by_role("link", name="I am at it").click()
            await tab.page.get_by_role("button", name="I am at it").click()
            await expect(tab.page.locator("#live_entry")).to_contain_text("switcher since")
            await tab.page.get_by_role("link", name=command).click()
            await expect(tab.page.locator("#live_state")).to_contain_text("waits for people")
        assert await actors(rig, "TodoClaimed") == ["switcher"]


async def test_a_key_sees_the_buttons_that_it_may_press() -> None:
    async with a_rig() as rig:
        (command,) = await waiting(rig, State.COMMUNICATION_ERROR, 1)
        for by, sees in (("reader", False), ("approver", False), ("switcher", True)):
            async with a_tab(rig, by) as tab:
                await tab.open(f"/commands/{command}")
                button = tab.page.get_by_role("link", name="Retry", exact=True)
                assert await button.is_visible() is sees, by
