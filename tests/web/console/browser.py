"""Debian's Chromium, driven by Playwright, at the console of a rig."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import ConsoleMessage, Page, async_playwright, expect

from tests.web.both_servers import TOKENS, Rig

_CHROMIUM: Final = os.environ.get("CHROMIUM") or shutil.which("chromium") or ""
WIDE: Final = (1280, 800)
PHONE: Final = (390, 844)
needs_chromium = pytest.mark.skipif(
    not _CHROMIUM, reason="NO BROWSER TEST OF THE CONSOLE IS RUN: chromium is not installed"
)


@dataclass
class Tab:
    """`wrong` is what the browser complained of: scripts that failed, what the policy refused."""

    page: Page
    url: str
    wrong: list[str] = field(default_factory=list)

    async def open(self, path: str) -> None:
        """`path` is below /console. Live parts are connected when this returns."""
        await self.page.goto(f"{self.url}/console{path}")
        if await self.page.locator("#pulse").count():
            await expect(self.page.locator("#pulse")).to_have_text("live")

    async def axe(self) -> list[str]:
        """What axe finds that is serious."""
        found: Any = (await Axe().run(self.page)).response
        return [
            f"{each['id']}: {each['help']}: {[node['html'] for node in each['nodes']][:3]}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]

    async def overflow(self) -> int:
        """So many pixels the page is wider than the window."""
        script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(await self.page.evaluate(script))

    async def height(self) -> int:
        return int(await self.page.evaluate("document.documentElement.scrollHeight"))


@asynccontextmanager
async def a_tab(
    rig: Rig, by: str = "switcher", *, size: tuple[int, int] = WIDE, dark: bool = False
) -> AsyncIterator[Tab]:
    """A window in which that key is logged in, by keyboard."""
    async with a_new_tab(rig, size=size, dark=dark) as tab:
        page = tab.page
        await page.goto(f"{tab.url}/console")
        await expect(page.locator("#key")).to_be_focused()
        await page.keyboard.type(TOKENS[by])
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Log out")).to_be_visible()
        yield tab


@asynccontextmanager
async def a_new_tab(
    rig: Rig, *, size: tuple[int, int] = WIDE, dark: bool = False
) -> AsyncIterator[Tab]:
    """A window in which nobody is logged in."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=_CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            page = await browser.new_page(
                viewport={"width": size[0], "height": size[1]},
                color_scheme="dark" if dark else "light",
            )
            tab = Tab(page, rig.rest.url)

            def hear(message: ConsoleMessage) -> None:
                if message.type in ("error", "warning"):
                    tab.wrong.append(message.text)

            page.on("console", hear)
            page.on("pageerror", lambda error: tab.wrong.append(str(error)))
            yield tab
        finally:
            await browser.close()
