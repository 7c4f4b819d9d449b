"""From templates to answers: HTML, its live parts, and the files beside it.

Nothing is loaded from elsewhere, and no script or style stands in a page: the policy forbids it.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

import jinja2
from aiohttp import web

from adapter import __version__
from adapter.web.console.buttons import BUTTONS
from adapter.web.console.elements import ELEMENTS, ROOT
from adapter.web.console.live import Parts
from adapter.web.console.words import FILTERS

_LIVE: Final = "live_"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_KEPT: Final[Mapping[str, str]] = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
}
_TYPES: Final = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


def parts_of(template: jinja2.Template, context: Mapping[str, object]) -> Parts:
    """The live blocks of a page."""
    made = template.new_context(dict(context))
    return {
        name: "".join(block(made)).strip()
        for name, block in template.blocks.items()
        if name.startswith(_LIVE)
    }


@cache
def environment() -> jinja2.Environment:
    """Of all templates, made once in a process. What is put into them is always escaped."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("adapter.web.console"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(FILTERS)
    made.globals.update(
        ELEMENTS, root=ROOT, version=__version__, static=_static_url, buttons=BUTTONS
    )
    made.globals["ui"] = made.get_template("ui.html").module
    return made


def html(template: str, context: Mapping[str, object], *, status: int = 200) -> web.Response:
    text = environment().get_template(template).render(context)
    return web.Response(
        text=text, status=status, content_type="text/html", charset="utf-8", headers=HEADERS
    )


@cache
def _files() -> Mapping[str, tuple[str, bytes]]:
    """Digest and content of each static file."""
    folder = resources.files("adapter.web.console").joinpath("static")
    found = {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}
    return {
        name: (hashlib.sha256(raw).hexdigest()[:12], raw)
        for name, raw in found.items()
        if name.rpartition(".")[2] in _TYPES
    }


def _static_url(name: str) -> str:
    return f"{ROOT}/static/{_files()[name][0]}/{name}"


async def send_static(request: web.Request) -> web.StreamResponse:
    """Its address has its digest: a browser keeps it for as long as it likes."""
    name = request.match_info["file"]
    digest, raw = _files().get(name, ("", b""))
    if not digest or request.match_info["hash"] != digest:
        raise web.HTTPNotFound
    kind = _TYPES[name.rpartition(".")[2]]
    return web.Response(body=raw, content_type=kind, charset="utf-8", headers=_KEPT)
