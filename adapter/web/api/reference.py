"""The reference page at /docs: the OpenAPI document as Redoc shows it, with nothing from outside.

Redoc is one file as its makers build it, in `adapter/web/reference` with its licence. The name has
its version: browsers keep it for as long as they like.
"""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

from aiohttp import web

from adapter.web.api.problems import HEADERS

PAGE: Final = "/docs"
REDOC: Final = "redoc-2.5.4.standalone.js"
# The two hashes are of the style elements that Redoc begins with; what it adds, it adds by rules.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; "
    "style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' "
    "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='; "
    "img-src 'self' data:; connect-src 'self'; worker-src blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_KEPT: Final[Mapping[str, str]] = {
    **HEADERS,
    "Cache-Control": "public, max-age=31536000, immutable",
}
_HTML: Final = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>OpenWay gateway: REST</title>
<body>
<redoc spec-url="openapi.json" hide-download-button="true" native-scrollbars="true"></redoc>
<script src="docs/{REDOC}"></script>
</body>
</html>
""".encode()


def add_routes(app: web.Application) -> None:
    app.router.add_get(PAGE, _page)
    app.router.add_get(f"{PAGE}/{REDOC}", _redoc)


async def _page(request: web.Request) -> web.Response:
    headers = {**HEADERS, "Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
    return web.Response(body=_HTML, content_type="text/html", charset="utf-8", headers=headers)


async def _redoc(request: web.Request) -> web.Response:
    return web.Response(body=_script(), content_type="text/javascript", headers=_KEPT)


@cache
def _script() -> bytes:
    return resources.files("adapter.web").joinpath("reference", REDOC).read_bytes()
