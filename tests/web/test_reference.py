"""The reference page: everything on it is ours, and a browser shows every route."""

import asyncio
import hashlib
import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from adapter.web.api.reference import PAGE, REDOC
from adapter.web.api.routes import ROUTES
from tests.web.both_servers import Rig, a_rig

FILES = Path(__file__).parents[2] / "adapter/web/reference"
SHA_256 = "dcaf76612bc4a3fbcc923a8966dee2f6146a5f32e5ce1b6f02dd60cbbf89500b"
"""Of the file as its makers published it."""
CHROMIUM = shutil.which("chromium")
_BROWSE_S = 100


async def got(rig: Rig, path: str) -> tuple[str, dict[str, str]]:
    async with rig.http.get(rig.rest.url + path) as response:
        assert response.status == 200
        return await response.text(), dict(response.headers)


async def test_the_page_is_served_without_a_key_and_lets_nothing_in_from_outside() -> None:
    async with a_rig() as rig:
        page, headers = await got(rig, PAGE)
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        policy = dict(part.strip().split(" ", 1) for part in
                      headers["Content-Security-Policy"].split(";"))  # fmt: skip
        assert policy["default-src"] == "'none'"
        assert "unsafe" not in str(policy)
        assert "http" not in str(policy)
        assert set(re.findall(r'(?:src|spec-url)="([^"]+)"', page)) == {
            f"docs/{REDOC}",
            "openapi.json",
        }
        script, kept = await got(rig, f"{PAGE}/{REDOC}")
        assert kept["Content-Type"].startswith("text/javascript")
        assert "immutable" in kept["Cache-Control"]
        assert hashlib.sha256(script.encode()).hexdigest() == SHA_256


def test_its_licence_is_beside_it() -> None:
    name = REDOC.replace(".standalone.js", ".LICENSE.txt")
    assert {file.name for file in FILES.iterdir()} == {REDOC, name}
    assert "MIT License" in (FILES / name).read_text(encoding="utf-8")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: the page is not looked at")
async def test_a_browser_shows_every_route(tmp_path: Path) -> None:
    assert CHROMIUM is not None
    async with a_rig() as rig:
        arguments = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            f"--user-data-dir={tmp_path}", "--enable-logging=stderr", "--timeout=60000",
            "--virtual-time-budget=30000", "--dump-dom", rig.rest.url + PAGE,
        ]  # fmt: skip
        shown = await asyncio.to_thread(
            subprocess.run, arguments, capture_output=True, text=True, timeout=_BROWSE_S,
            check=False,
        )  # fmt: skip
        page = html.unescape(shown.stdout)
        for route in ROUTES:
            assert route.path in page, route.path
            assert re.split("[`;:]", route.summary)[0].strip() in page, route.summary
        said = [line for line in shown.stderr.splitlines() if "CONSOLE" in line]
        # The one thing that it asks for elsewhere, which it is not given: its makers' mark.
        assert all("logo-mini.svg" in line for line in said), said
