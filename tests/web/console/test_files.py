"""The files beside the pages: those of others unchanged and with their licences, all kept well."""

import hashlib
import re
from pathlib import Path

from tests.support import for_every
from tests.web.console.visitor import a_console

FOLDER = Path(__file__).parents[3] / "adapter/web/console"
STATIC = FOLDER / "static"
PUBLISHED = {
    "htmx-2.0.11.min.js": "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717",
    "uplot-1.6.32.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uplot-1.6.32.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}
"""SHA-256 of the files as their makers published them."""
SERVED = sorted(file.name for file in STATIC.iterdir() if file.suffix in (".js", ".css", ".svg"))


@for_every("name", PUBLISHED)
def test_a_file_of_others_is_as_it_was_published_and_has_its_licence(name: str) -> None:
    assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == PUBLISHED[name]
    about = name.split(".min")[0].removesuffix(".iife")
    assert "ermission" in (STATIC / f"{about}.LICENSE.txt").read_text(encoding="utf-8")
    assert name in (STATIC / "README.txt").read_text(encoding="utf-8")


async def test_a_file_is_kept_by_browsers_under_an_address_that_changes_with_it() -> None:
    async with a_console(None) as (rig, visitor):
        for name in SERVED:
            raw = (STATIC / name).read_bytes()
            digest = hashlib.sha256(raw).hexdigest()[:12]
            async with rig.http.get(f"{rig.rest.url}/console/static/{digest}/{name}") as response:
                assert response.status == 200
                assert await response.read() == raw
                assert "immutable" in response.headers["Cache-Control"]
            assert (await visitor.open(f"/static/{'0' * 12}/{name}")).status == 404
        for name in ("README.txt", "..%2Fconsole.py", "htmx-2.0.11.LICENSE.txt"):
            assert (await visitor.open(f"/static/{digest}/{name}")).status == 404


def test_no_page_names_another_site() -> None:
    for file in [*(FOLDER / "templates").iterdir(), STATIC / "console.css", STATIC / "console.js"]:
        text = file.read_text(encoding="utf-8")
        assert not re.search(
            r"(https?:)?//[a-z]", text.replace("http://www.w3.org/2000/svg", "")
        ), file
        assert "| safe" not in text, file
        assert "autoescape" not in text, file
