"""The console over HTTP: login, pages, live streams, buttons, and what they are made with.

Nothing is loaded from elsewhere, and no script or style stands in a page: the policy forbids it.
"""

import contextlib
import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import cache
from importlib import resources
from typing import Final, NoReturn
from urllib.parse import quote, urlencode

import jinja2
from aiohttp import web
from aiohttp_sse import sse_response

from adapter import __version__
from adapter.engine.commands.ports import Clock
from adapter.errors import GatewayError
from adapter.server.bodies import continue_later
from adapter.server.credentials import CallerEnded
from adapter.web.api.call import ApiContext, place_to_wait, require
from adapter.web.api.incoming import CALLER, query_of
from adapter.web.api.problems import ProblemRaised, of_error
from adapter.web.api.routes import ANY
from adapter.web.console.buttons import BUTTONS, Button
from adapter.web.console.forms import (
    Form,
    body_of,
    check_token,
    headers_of,
    read_form,
)
from adapter.web.console.live import Live, Parts
from adapter.web.console.pages import NAVIGATION, PAGES, Page
from adapter.web.console.session import ConsoleSession, Sessions
from adapter.web.console.view import PageView, carry_out
from adapter.web.console.words import FILTERS

ROOT: Final = "/console"
_COOKIE: Final = "openway_console"
_LOGIN_COOKIE: Final = "openway_console_login"
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
_SESSION: Final = web.RequestKey("session", ConsoleSession)
log = logging.getLogger(__name__)


class Console:
    """Its routes are added to those of the JSON interface, which also judges its errors: what is
    refused is counted and audited there alike. `metrics` gives what measures, once it is there."""

    def __init__(
        self,
        api: ApiContext,
        clock: Clock,
        *,
        metrics: Callable[[], Callable[[], Awaitable[bytes]] | None],
    ) -> None:
        settings = api.settings.console
        self._api = api
        self._clock = clock
        self._metrics = metrics
        self.sessions = Sessions(
            api.keys, most=settings.sessions, lasts=timedelta(seconds=settings.session_s)
        )
        self.live = Live(settings.refresh_s)

    def add_routes(self, app: web.Application) -> None:
        router = app.router
        router.add_get(f"{ROOT}/static/{{hash}}/{{file}}", _static)
        router.add_get(f"{ROOT}/login", self._login_page)
        router.add_post(f"{ROOT}/login", self._login, expect_handler=continue_later)
        router.add_post(f"{ROOT}/logout", self._logout, expect_handler=continue_later)
        for button in BUTTONS.values():
            path = f"{ROOT}/do/{button.name}"
            router.add_get(path, self._form_of(button))
            router.add_post(path, self._doing(button), expect_handler=continue_later)
        for page in PAGES:
            router.add_get(ROOT + page.path, self._showing(page))
            if page.live:
                router.add_get(f"{ROOT}/live{page.path}", self._streaming(page))

    def is_for(self, request: web.Request) -> bool:
        """Whether the answer to this request is read by a person."""
        enabled = self._api.settings.console.enabled
        return enabled and (request.path + "/").startswith(ROOT + "/")

    # ------------------------------------------------------------ who

    def _session(self, request: web.Request) -> ConsoleSession | None:
        now = self._clock.now()
        session = self.sessions.get(request.cookies.get(_COOKIE, ""), now=now)
        if session is not None:
            request[CALLER] = session.caller
            request[_SESSION] = session
        return session

    def _let_in(self, request: web.Request) -> ConsoleSession:
        """Raises the way to the login for a page, 401 for what is no page."""
        session = self._session(request)
        if session is not None:
            return session
        if request.method == "GET" and not request.path.startswith(f"{ROOT}/live/"):
            _go(f"{ROOT}/login?{urlencode({'next': request.path_qs[len(ROOT) :]})}")
        raise ProblemRaised(401, "unauthorized", "log in: your session is over, or there was none")

    async def _login_page(self, request: web.Request) -> web.StreamResponse:
        query = _filters(query_of(("next",), request))
        return self._login_form(next_=query.get("next", ""))

    def _login_form(self, *, next_: str, error: str = "", status: int = 200) -> web.Response:
        token = secrets.token_urlsafe(32)
        response = _html(
            "login.html",
            {
                "error": error,
                "next": next_,
                "csrf": token,
                "oidc": self._api.issuer is not None,
            },
            status=status,
        )
        response.set_cookie(
            _LOGIN_COOKIE, token, path=f"{ROOT}/login", httponly=True, samesite="Strict"
        )
        return response

    async def _login(self, request: web.Request) -> web.StreamResponse:
        """Exchange a key, or an issuer's token, for a session."""
        form = await read_form(request, self._api.settings)
        check_token(form, request.cookies.get(_LOGIN_COOKIE, ""))
        now = self._clock.now()
        caller = await self._api.caller_of(form.get("key", "").strip(), now=now)
        if caller is None:
            raise ProblemRaised(401, "unauthorized", "this key is not known, or has expired")
        request[CALLER] = caller
        require(caller, *ANY)
        log.info("console_login", extra={"by": caller.name})
        response = web.HTTPSeeOther(ROOT + _local(form.get("next", "")), headers=HEADERS)
        self.sessions.end(request.cookies.get(_COOKIE, ""))
        response.set_cookie(
            _COOKIE,
            self.sessions.begin(caller, now=now),
            path=ROOT,
            httponly=True,
            samesite="Strict",
            secure=_over_tls(request),
        )
        response.del_cookie(_LOGIN_COOKIE, path=f"{ROOT}/login")
        return _plain(response)

    async def _logout(self, request: web.Request) -> web.StreamResponse:
        session = self._let_in(request)
        check_token(await read_form(request, self._api.settings), session.csrf)
        self.sessions.end(request.cookies.get(_COOKIE, ""))
        response = web.HTTPSeeOther(f"{ROOT}/login", headers=HEADERS)
        response.del_cookie(_COOKIE, path=ROOT)
        return _plain(response)

    # ------------------------------------------------------------ pages

    def _showing(self, page: Page) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def show(request: web.Request) -> web.StreamResponse:
            session = self._let_in(request)
            require(session.caller, *page.roles)
            view = self._view(page, request)
            loaded = await page.load(view)
            live = f"{ROOT}/live{request.path_qs[len(ROOT) :]}" if page.live else ""
            return self._page(page.template, session, view, page, {**loaded, "live": live})

        return show

    def _view(self, page: Page, request: web.Request) -> PageView:
        return PageView(
            api=self._api,
            now=self._clock.now(),
            path=dict(request.match_info),
            query=_filters(query_of(page.query, request)),
            metrics=self._metrics(),
        )

    def _page(
        self,
        template: str,
        session: ConsoleSession,
        view: PageView,
        page: Page | None,
        context: Mapping[str, object],
        *,
        status: int = 200,
    ) -> web.Response:
        notice, session.notice = session.notice, ""
        return _html(
            template,
            {
                "caller": session.caller,
                "roles": " ".join(sorted(session.caller.roles)),
                "csrf": session.csrf,
                "notice": notice,
                "navigation": NAVIGATION,
                "page": page,
                "now": view.now,
                "query": view.query,
                "path": view.path,
                **context,
            },
            status=status,
        )

    def _streaming(self, page: Page) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def stream(request: web.Request) -> web.StreamResponse:
            session = self._let_in(request)
            require(session.caller, *page.roles)
            asked = self._view(page, request)
            template = environment().get_template(page.template)

            async def render() -> Parts:
                view = PageView(
                    api=self._api,
                    now=self._clock.now(),
                    path=asked.path,
                    query=asked.query,
                    metrics=asked.metrics,
                )
                return parts_of(template, {**await page.load(view), **_shown_of(view)})

            address = f"{request.path}?{urlencode(sorted(asked.query.items()))}"
            parts = self.live.watch(address, render)
            async with (
                place_to_wait(self._api),
                contextlib.aclosing(parts),
                sse_response(request, headers=HEADERS) as response,
            ):
                with contextlib.suppress(ConnectionError, TimeoutError, CallerEnded):
                    async with self._api.keys.while_good(session.caller, now=asked.now):
                        async for changed in parts:
                            for name, html in changed.items():
                                await response.send(html, event=name)
                            if not response.is_connected():
                                break
            return response

        return stream

    # ------------------------------------------------------------ buttons

    def _form_of(self, button: Button) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def show(request: web.Request) -> web.StreamResponse:
            session = self._let_in(request)
            require(session.caller, *button.route.roles)
            given = _filters(query_of((*button.ids, *_names(button)), request))
            return self._button(button, session, given)

        return show

    def _button(
        self,
        button: Button,
        session: ConsoleSession,
        given: Form,
        *,
        error: str = "",
        status: int = 200,
    ) -> web.Response:
        ids = _ids(button, given)
        view = PageView(api=self._api, now=self._clock.now())
        context = {
            "button": button,
            "ids": ids,
            "given": given,
            "error": error,
            "once": given.get("once") or secrets.token_urlsafe(16),
            "back": ROOT + _filled(button.back, ids),
        }
        return self._page("button.html", session, view, None, context, status=status)

    def _doing(self, button: Button) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def do(request: web.Request) -> web.StreamResponse:
            session = self._let_in(request)
            require(session.caller, *button.route.roles)
            form = await read_form(request, self._api.settings)
            check_token(form, session.csrf)
            ids = _ids(button, form)
            try:
                await self._carry_out(button, session, ids, form)
            except (GatewayError, ProblemRaised) as error:
                problem = error if isinstance(error, ProblemRaised) else of_error(error)
                if problem.problem.status not in (404, 409, 422):
                    raise
                return self._button(
                    button,
                    session,
                    form,
                    error=problem.problem.detail,
                    status=problem.problem.status,
                )
            session.notice = f"{button.label}: done."
            _go(ROOT + _filled(button.back, ids))

        return do

    async def _carry_out(
        self, button: Button, session: ConsoleSession, ids: Mapping[str, str], form: Form
    ) -> None:
        await carry_out(
            self._api,
            button.route.call,
            caller=session.caller,
            path=ids,
            body=body_of(button, form),
            headers=headers_of(button, form),
            now=self._clock.now(),
        )

    # ------------------------------------------------------------ errors

    def problem(self, raised: ProblemRaised, request: web.Request) -> web.Response:
        """A problem as a page; at the login with the form again."""
        problem = raised.problem
        if problem.status == 401 or (
            request.path == f"{ROOT}/login" and problem.status in (403, 429)
        ):
            response = self._login_form(next_="", error=problem.detail, status=problem.status)
        else:
            session = request.get(_SESSION)
            context = {"problem": problem}
            if session is None:
                response = _html("problem_alone.html", context, status=problem.status)
            else:
                view = PageView(api=self._api, now=self._clock.now())
                response = self._page(
                    "problem.html", session, view, None, context, status=problem.status
                )
        response.headers.update(
            {name: value for name, value in raised.headers.items() if name != "WWW-Authenticate"}
        )
        return response


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
        root=ROOT, version=__version__, static=_static_url, buttons=BUTTONS, linked=linked
    )
    made.globals["ui"] = made.get_template("ui.html").module
    return made


def linked(path: str, **query: object) -> str:
    """The address of a page of the console, with what stands in its query."""
    given = {name: str(value) for name, value in query.items() if value not in (None, "")}
    return ROOT + path + (f"?{urlencode(given)}" if given else "")


def _html(template: str, context: Mapping[str, object], *, status: int = 200) -> web.Response:
    text = environment().get_template(template).render(context)
    return web.Response(
        text=text, status=status, content_type="text/html", charset="utf-8", headers=HEADERS
    )


def _shown_of(view: PageView) -> Mapping[str, object]:
    return {"now": view.now, "query": view.query, "path": view.path}


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


async def _static(request: web.Request) -> web.StreamResponse:
    """Its address has its digest: a browser keeps it for as long as it likes."""
    name = request.match_info["file"]
    digest, raw = _files().get(name, ("", b""))
    if not digest or request.match_info["hash"] != digest:
        raise web.HTTPNotFound
    kind = _TYPES[name.rpartition(".")[2]]
    return web.Response(body=raw, content_type=kind, charset="utf-8", headers=_KEPT)


def _over_tls(request: web.Request) -> bool:
    """Also where a proxy ends it: who lies about that has his own cookie made stricter."""
    return request.secure or request.headers.get("X-Forwarded-Proto", "") == "https"


def _filters(query: Mapping[str, str]) -> Mapping[str, str]:
    """Without the fields that a form left empty."""
    return {name: value for name, value in query.items() if value.strip()}


def _local(path: str) -> str:
    """Where to go after the login: below the console alone."""
    simple = path.startswith("/") and not path.startswith(("//", "/\\", "/login", "/live/"))
    return path if simple and path.isascii() and path.isprintable() else ""


def _go(address: str) -> NoReturn:
    raise web.HTTPSeeOther(address, headers=HEADERS)


def _plain(redirect: web.HTTPSeeOther) -> web.Response:
    """The redirect as an answer."""
    response = web.Response(status=redirect.status, headers=redirect.headers)
    response.cookies.update(redirect.cookies)
    return response


def _names(button: Button) -> tuple[str, ...]:
    return tuple(field.name for field in button.fields)


def _ids(button: Button, form: Form) -> Mapping[str, str]:
    """Raises ProblemRaised 422 where one is missing."""
    for name in button.ids:
        if not form.get(name):
            raise ProblemRaised(422, "bad_query", f"{name}: is needed", field=name)
    return {name: form[name] for name in button.ids}


def _filled(path: str, ids: Mapping[str, str]) -> str:
    for name, value in ids.items():
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    return path
