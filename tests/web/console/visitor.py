"""Somebody at the console, over HTTP: logs in, opens pages, sends forms."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, Final

import aiohttp

from tests.web.both_servers import TOKENS, Rig, a_rig

_CSRF: Final = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass(frozen=True)
class Shown:
    """An answer as it was read."""

    status: int
    text: str
    path: str
    headers: Mapping[str, str]

    @property
    def csrf(self) -> str:
        found = _CSRF.search(self.text)
        assert found is not None, "no form on this page"
        return found[1]


@dataclass
class Visitor:
    http: aiohttp.ClientSession
    url: str
    csrf: str = ""

    async def open(self, path: str, *, follow: bool = True) -> Shown:
        """`path` is below /console."""
        url = f"{self.url}/console{path}"
        async with self.http.get(url, allow_redirects=follow) as response:
            return await _read(response)

    async def send(self, path: str, form: Mapping[str, str], *, follow: bool = True) -> Shown:
        """A form, with the token of the session unless it has one."""
        url = f"{self.url}/console{path}"
        data = {"csrf": self.csrf, **form}
        async with self.http.post(url, data=data, allow_redirects=follow) as response:
            return await _read(response)

    async def log_in(self, key: str) -> Shown:
        form = await self.open("/login")
        shown = await self.send("/login", {"csrf": form.csrf, "key": key, "next": "/waits"})
        if shown.status == 200:
            self.csrf = shown.csrf
        return shown


async def _read(response: aiohttp.ClientResponse) -> Shown:
    text = await response.text()
    return Shown(response.status, text, response.url.path, dict(response.headers))


@asynccontextmanager
async def a_visitor(rig: Rig, by: str | None = "switcher") -> AsyncIterator[Visitor]:
    """Logged in with the key of that name; with None not yet."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        made = Visitor(http, rig.rest.url)
        if by is not None:
            shown = await made.log_in(TOKENS[by])
            assert shown.status == 200, shown
        yield made


@asynccontextmanager
async def a_console(by: str | None = "switcher", **more: Any) -> AsyncIterator[tuple[Rig, Visitor]]:
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(a_rig(**more))
        yield rig, await stack.enter_async_context(a_visitor(rig, by))


class _Names(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def tags_of(html: str) -> list[tuple[str, dict[str, str | None]]]:
    """Every element that stands in a page, with its attributes."""
    parser = _Names()
    parser.feed(html)
    parser.close()
    return parser.tags


def check_strict(html: str) -> None:
    """That nothing in a page needs a looser policy: no inline script, style or handler."""
    for tag, attributes in tags_of(html):
        assert "style" not in attributes, (tag, attributes)
        assert tag != "style"
        assert tag != "script" or attributes.get("src", ""), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
