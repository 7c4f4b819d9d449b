"""Debian's Chromium, driven by Playwright, at the console of a rig."""

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import ConsoleMessage, Page, async_playwright, expect

from tests.web.both_servers import TOKENS, Rig

_CHROMIUM: Final = os.environ.get("CHROMIUM") or shutil.which("chromium") or ""
_ARGUMENTS: Final = (
    *("--headless", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-extensions"),
    *("--disable-sync", "--hide-scrollbars", "--mute-audio", "--password-store=basic"),
    # Of two windows none is less than the other; of Chrome's own pages none is made beforehand.
    *("--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows"),
    *("--disable-renderer-backgrounding", "--disable-back-forward-cache"),
    "--disable-features=InitialWebUI,PreloadTopChromeWebUI,PreconnectToSearch,Translate",
    "--remote-debugging-port=0",
)
_LISTENING: Final = "DevTools listening on "
expect.set_options(timeout=30_000)  # milliseconds; a busy machine takes its time
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
        """What axe finds that is serious, in light and in dark, which differ in colours alone."""
        light = await self._serious()
        await self.page.emulate_media(color_scheme="dark")
        dark = await self._serious("color-contrast")
        await self.page.emulate_media(color_scheme="light")
        return light + dark

    async def _serious(self, *rules: str) -> list[str]:
        options = {"runOnly": rules} if rules else None
        found: Any = (await Axe().run(self.page, options=options)).response
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


@cache
def _chromium() -> str:
    """Where the one browser of this process is driven from; a test has a profile of its own in it.
    It ends with the process."""
    folder = tempfile.mkdtemp(prefix="chromium-")
    process = subprocess.Popen(
        [_CHROMIUM, *_ARGUMENTS, f"--user-data-dir={folder}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )

    def end() -> None:
        process.terminate()
        process.communicate(timeout=30.0)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        if _LISTENING in line:
            # Nobody reads on: what it still says is little.
            return line.partition(_LISTENING)[2].strip()
        said += line
    raise AssertionError(f"the browser has ended: {said}")


@asynccontextmanager
async def a_tab(
    rig: Rig, by: str = "switcher", *, size: tuple[int, int] = WIDE
) -> AsyncIterator[Tab]:
    """A window in which that key is logged in, by keyboard."""
    async with a_new_tab(rig, size=size) as tab:
        page = tab.page
        await page.goto(f"{tab.url}/console")
        await expect(page.locator("#key")).to_be_focused()
        await page.keyboard.type(TOKENS[by])
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Log out")).to_be_visible()
        yield tab


@asynccontextmanager
async def a_new_tab(rig: Rig, *, size: tuple[int, int] = WIDE) -> AsyncIterator[Tab]:
    """A window in which nobody is logged in."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(_chromium())
        context = await browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="light"
        )
        try:
            page = await context.new_page()
            tab = Tab(page, rig.rest.url)

            def hear(message: ConsoleMessage) -> None:
                if message.type in ("error", "warning"):
                    tab.wrong.append(message.text)

            page.on("console", hear)
            page.on("pageerror", lambda error: tab.wrong.append(str(error)))
            yield tab
        finally:
            await context.close()
            await browser.close()
