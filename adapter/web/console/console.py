"""The console over HTTP: login, pages, live streams, and buttons for one thing or for many."""

import contextlib
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Final, NoReturn
from urllib.parse import quote, unquote, urlencode

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from adapter.engine.commands.ports import Clock
from adapter.errors import GatewayError
from adapter.server.bodies import continue_later
from adapter.server.credentials import Caller, CallerEnded
from adapter.server.issuer_login import LASTS_S, IssuerLogin, LoginFailed
from adapter.server.settings import LOGIN_CALLBACK, Role
from adapter.web.api.call import PREFIX, ApiContext, ApiResponse, require
from adapter.web.api.incoming import CALLER, query_of
from adapter.web.api.measured import Measured
from adapter.web.api.problems import ProblemRaised, of_error
from adapter.web.api.routes import ANY
from adapter.web.console import many
from adapter.web.console.answers import told_by
from adapter.web.console.buttons import ALL_LIMITS, BUTTONS, Button, FieldKind
from adapter.web.console.closed import ClosedEntries
from adapter.web.console.elements import ROOT
from adapter.web.console.forms import (
    Form,
    body_of,
    check_token,
    headers_of,
    read_form,
)
from adapter.web.console.live import Live, Parts
from adapter.web.console.pages import NAVIGATION, PAGES, PageRow
from adapter.web.console.rendering import (
    HEADERS,
    environment,
    html,
    parts_of,
    send_static,
)
from adapter.web.console.session import ConsoleSession, Sessions
from adapter.web.console.view import NOTHING, PageView, carry_out

_COOKIE: Final = "openway_console"
_ISSUER_COOKIE: Final = "openway_console_issuer"
_LOGIN_COOKIE: Final = "openway_console_login"
_STREAMED: Final[Mapping[str, str]] = {**HEADERS, "X-Accel-Buffering": "no"}
"""Proxies that keep answers back until they are large are asked not to."""

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
        metrics: Callable[[], Measured | None],
    ) -> None:
        settings = api.settings.console
        self._api = api
        self._clock = clock
        self._metrics = metrics
        self.sessions = Sessions(
            api.keys, most=settings.sessions, lasts=timedelta(seconds=settings.session_s)
        )
        self.live = Live(settings.refresh_s)
        self._closed = ClosedEntries()

    def add_routes(self, app: web.Application) -> None:
        router = app.router
        router.add_get(f"{ROOT}/static/{{hash}}/{{file}}", send_static)
        router.add_get(f"{ROOT}/login", self._login_page)
        router.add_post(f"{ROOT}/login", self._login, expect_handler=continue_later)
        if self._api.login is not None:
            router.add_get(f"{ROOT}/login/issuer", self._to_issuer)
            router.add_get(LOGIN_CALLBACK, self._from_issuer)
            router.add_get(f"{ROOT}/login/leave", self._leave_issuer)
        router.add_post(f"{ROOT}/logout", self._logout, expect_handler=continue_later)
        for button in BUTTONS.values():
            path = f"{ROOT}/do/{button.name}"
            router.add_get(path, self._form_of(button))
            router.add_post(path, self._doing(button), expect_handler=continue_later)
            if button.many:
                path = f"{ROOT}/many/{button.name}"
                router.add_get(path, self._form_of_many(button))
                router.add_post(path, self._doing_many(button), expect_handler=continue_later)
        router.add_get(ROOT + "/", _to_the_front)
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
        if request.method == "GET" and not f"{request.path}/".startswith(f"{ROOT}/live/"):
            _go(f"{ROOT}/login?{urlencode({'next': request.path_qs[len(ROOT) :]})}")
        # no guess at a key: it does not count as one
        raise ProblemRaised(401, "session_ended", "log in: your session is over")

    async def _login_page(self, request: web.Request) -> web.StreamResponse:
        query = _filters(query_of(("next",), request))
        return self._login_form(request, next_=query.get("next", ""))

    def _login_form(
        self, request: web.Request, *, next_: str, error: str = "", status: int = 200
    ) -> web.Response:
        token = secrets.token_urlsafe(32)
        response = html(
            "login.html",
            {
                "error": error,
                "next": next_,
                "csrf": token,
                "oidc": self._api.issuer is not None,
                "at_issuer": self._api.login is not None,
            },
            status=status,
        )
        response.set_cookie(
            _LOGIN_COOKIE,
            token,
            path=f"{ROOT}/login",
            httponly=True,
            samesite="Strict",
            secure=_over_tls(request),
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
        response = _plain(web.HTTPSeeOther(ROOT + _local(form.get("next", "")), headers=HEADERS))
        self._log_in(request, response, caller)
        response.del_cookie(_LOGIN_COOKIE, path=f"{ROOT}/login")
        return response

    def _log_in(self, request: web.Request, response: web.Response, caller: Caller) -> None:
        """Begin a session; one of this browser before it ends."""
        request[CALLER] = caller
        require(caller, *ANY)
        log.info("console_login", extra={"by": caller.name})
        now = self._clock.now()
        self.sessions.end(request.cookies.get(_COOKIE, ""))
        response.set_cookie(
            _COOKIE,
            self.sessions.begin(caller, now=now),
            path=ROOT,
            httponly=True,
            samesite="Strict",
            secure=_over_tls(request),
        )

    # ------------------------------------------------------------ at the issuer

    async def _to_issuer(self, request: web.Request) -> web.StreamResponse:
        """Send the browser to the issuer's own login."""
        next_ = _local(_filters(query_of(("next",), request)).get("next", ""))
        try:
            begun = await self._at_issuer.begin(next_, now=self._clock.now())
        except LoginFailed as failed:
            raise _not_in(failed) from failed
        response = _plain(web.HTTPSeeOther(begun.address, headers=HEADERS))
        response.set_cookie(
            _ISSUER_COOKIE,
            begun.cookie,
            path=f"{ROOT}/login",
            max_age=LASTS_S,
            httponly=True,
            samesite="Lax",  # it has to come along when the issuer sends the browser back
            secure=_over_tls(request),
        )
        return response

    async def _from_issuer(self, request: web.Request) -> web.StreamResponse:
        """The browser is back with a code. The page that it gets goes on by itself: behind a
        redirect from elsewhere the browser would keep the session's cookie to itself."""
        given = request.query
        if any(len(given.getall(name)) > 1 for name in given):
            raise ProblemRaised(400, "bad_query", "a parameter stands there twice")
        cookie = request.cookies.get(_ISSUER_COOKIE, "")
        try:
            caller, next_ = await self._at_issuer.finish(given, cookie, now=self._clock.now())
        except LoginFailed as failed:
            raise _not_in(failed) from failed
        address = ROOT + _local(next_)
        response = html("logged_in.html", {"caller": caller, "address": address})
        response.headers["Refresh"] = f"0; url={address}"
        self._log_in(request, response, caller)
        response.del_cookie(_ISSUER_COOKIE, path=f"{ROOT}/login")
        return response

    async def _leave_issuer(self, request: web.Request) -> web.StreamResponse:
        """Log out at the issuer too, where it has a page for that."""
        _go(await self._at_issuer.leaving(f"{ROOT}/login") or f"{ROOT}/login")

    @property
    def _at_issuer(self) -> IssuerLogin:
        assert self._api.login is not None  # else there are no such routes
        return self._api.login

    async def _logout(self, request: web.Request) -> web.StreamResponse:
        await self._sent(request, ANY)
        self.sessions.end(request.cookies.get(_COOKIE, ""))
        response = web.HTTPSeeOther(f"{ROOT}/login", headers=HEADERS)
        response.del_cookie(_COOKIE, path=ROOT)
        return _plain(response)

    async def _sent(
        self, request: web.Request, roles: tuple[Role, ...]
    ) -> tuple[ConsoleSession, Form]:
        """The form, once it is known that it is of this session and may be sent; the key may have
        ended while it came."""
        require(self._let_in(request).caller, *roles)
        form = await read_form(request, self._api.settings)
        session = self._let_in(request)
        require(session.caller, *roles)
        check_token(form, session.csrf)
        return session, form

    # ------------------------------------------------------------ pages

    def _showing(self, page: PageRow) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def show(request: web.Request) -> web.StreamResponse:
            session = self._let_in(request)
            require(session.caller, *page.roles)
            view = self._view_of(page, request)
            loaded = await page.load(view)
            live = f"{ROOT}/live{request.path_qs[len(ROOT) :]}" if page.live else ""
            return self._page(page.template, session, view, page, {**loaded, "live": live})

        return show

    def _view_of(self, page: PageRow, request: web.Request) -> PageView:
        return self._view(dict(request.match_info), _filters(query_of(page.query, request)))

    def _view(
        self, path: Mapping[str, str] = NOTHING, query: Mapping[str, str] = NOTHING
    ) -> PageView:
        return PageView(
            api=self._api,
            now=self._clock.now(),
            path=path,
            query=query,
            metrics=self._metrics(),
            closed=self._closed,
        )

    def _page(
        self,
        template: str,
        session: ConsoleSession,
        view: PageView,
        page: PageRow | None,
        context: Mapping[str, object],
        *,
        status: int = 200,
    ) -> web.Response:
        notice, session.notice = session.notice, ""
        return html(
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

    def _streaming(self, page: PageRow) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def stream(request: web.Request) -> web.StreamResponse:
            session = self._let_in(request)
            require(session.caller, *page.roles)
            asked = self._view_of(page, request)
            template = environment().get_template(page.template)

            async def render() -> Parts:
                view = self._view(asked.path, asked.query)
                return parts_of(template, {**await page.load(view), **_shown_of(view)})

            address = f"{request.path}?{urlencode(sorted(asked.query.items()))}"
            parts = self.live.watch(address, render)
            with self._api.waiting.taken(session.caller):
                async with (
                    contextlib.aclosing(parts),
                    sse_response(request, headers=_STREAMED) as response,
                ):
                    with contextlib.suppress(ConnectionError, TimeoutError, CallerEnded):
                        async with self._api.keys.while_good(session.caller, now=asked.now):
                            await self._send_parts(request, response, parts)
            return response

        return stream

    async def _send_parts(
        self,
        request: web.Request,
        response: EventSourceResponse,
        parts: AsyncGenerator[Parts, None],
    ) -> None:
        """Until somebody goes, or the session ends."""
        async for changed in parts:
            # the ping of a stream notices a caller that has gone much later
            if request.transport is None or self._session(request) is None:
                return
            for name, text in changed.items():
                await response.send(text, event=name)

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
        view = self._view()
        context = {
            "button": button,
            "limits": self._limits(button),
            "ids": ids,
            "given": given,
            "error": error,
            "once": given.get("once") or secrets.token_urlsafe(16),
            "back": ROOT + _filled(button.back, ids),
        }
        return self._page("button.html", session, view, None, context, status=status)

    def _limits(self, button: Button) -> Mapping[str, object]:
        """What a form that chooses a limit says of them; empty for others."""
        if all(field.kind is not FieldKind.LIMIT for field in button.fields):
            return {}
        safety = self._api.gateway.upkeep.switch_safety
        names = [(name, name) for name in safety.limits.names]
        longest = timedelta(seconds=safety.policy.longest_override_s)
        return {"choices": [*names, (ALL_LIMITS, "all limits")], "longest": longest}

    def _doing(self, button: Button) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def do(request: web.Request) -> web.StreamResponse:
            session, form = await self._sent(request, button.route.roles)
            ids = _ids(button, form)
            try:
                answered = await self._carry_out(button, session, ids, form)
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
            session.notice = f"{button.label}: accepted. {told_by(answered.body)}".strip()
            made = answered.headers.get("Location", "").removeprefix(PREFIX)
            _go(ROOT + (made or _filled(button.back, ids)))

        return do

    async def _carry_out(
        self, button: Button, session: ConsoleSession, ids: Mapping[str, str], form: Form
    ) -> ApiResponse:
        return await carry_out(
            self._api,
            button.route.call,
            caller=session.caller,
            path=ids,
            body=body_of(button, form),
            headers=headers_of(button, form),
            now=self._clock.now(),
        )

    # ------------------------------------------------------------ many at once

    def _form_of_many(
        self, button: Button
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def show(request: web.Request) -> web.StreamResponse:
            session = self._let_in(request)
            require(session.caller, *button.route.roles)
            given = _filters(query_of((*many.WHICH, *_names(button)), request))
            return await self._many(button, session, given)

        return show

    async def _many(
        self,
        button: Button,
        session: ConsoleSession,
        given: Form,
        *,
        error: str = "",
        status: int = 200,
    ) -> web.Response:
        view = self._view()
        context = {
            "button": button,
            "given": given,
            "which": {name: given[name] for name in many.WHICH if name in given},
            "selected": await many.selected(view, button, given),
            "error": error,
        }
        return self._page("many.html", session, view, None, context, status=status)

    def _doing_many(self, button: Button) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def do(request: web.Request) -> web.StreamResponse:
            session, form = await self._sent(request, button.route.roles)
            given = _filters(form)
            view = self._view()
            found = await many.selected(view, button, given)
            try:
                body_of(button, given)
            except ProblemRaised as raised:
                detail = raised.problem.detail
                return await self._many(button, session, given, error=detail, status=422)
            if form.get("seen") != found.digest:
                text = f"{len(found.items)} match by now: look again, then send"
                return await self._many(button, session, given, error=text, status=409)

            async def one(ids: Mapping[str, str]) -> None:
                if not self._api.keys.in_force(session.caller, now=self._clock.now()):
                    raise CallerEnded
                await self._carry_out(button, session, ids, given)

            context = {"button": button, "done": await many.each(found, one)}
            return self._page("many_done.html", session, view, None, context)

        return do

    # ------------------------------------------------------------ errors

    def problem(self, raised: ProblemRaised, request: web.Request) -> web.Response:
        """A problem as a page; at the login with the form again."""
        problem = raised.problem
        at_login = request.path == f"{ROOT}/login" or request.path.startswith(f"{ROOT}/login/")
        if problem.status == 401 or (at_login and problem.status in (400, 403, 429, 503)):
            response = self._login_form(
                request, next_="", error=problem.detail, status=problem.status
            )
        else:
            session = request.get(_SESSION)
            context = {"problem": problem}
            if session is None:
                response = html("problem_alone.html", context, status=problem.status)
            else:
                view = self._view()
                response = self._page(
                    "problem.html", session, view, None, context, status=problem.status
                )
        response.headers.update(
            {name: value for name, value in raised.headers.items() if name != "WWW-Authenticate"}
        )
        return response


def _shown_of(view: PageView) -> Mapping[str, object]:
    return {"now": view.now, "query": view.query, "path": view.path}


async def _to_the_front(request: web.Request) -> web.StreamResponse:
    _go(ROOT)


def _not_in(failed: LoginFailed) -> ProblemRaised:
    """Nobody is logged in: the form says why."""
    status, code = (503, "issuer_not_reached") if failed.unreachable else (401, "login_refused")
    return ProblemRaised(status, code, str(failed))


def _over_tls(request: web.Request) -> bool:
    """Also where a proxy ends it: who lies about that has his own cookie made stricter."""
    return request.secure or request.headers.get("X-Forwarded-Proto", "") == "https"


def _filters(query: Mapping[str, str]) -> Mapping[str, str]:
    """Without the fields that a form left empty."""
    return {name: value for name, value in query.items() if value.strip()}


def _local(path: str) -> str:
    """Where to go after the login: below the console alone."""
    address, _, _ = path.partition("?")
    decoded = unquote(address)
    steps = decoded.split("/")[1:]
    simple = decoded == address and decoded.startswith("/") and not {"\\", "#"} & set(path)
    simple = simple and not {".", ".."} & set(steps) and "" not in steps[:-1]
    simple = simple and ".." not in unquote(path)
    simple = simple and not steps[0].casefold().startswith(("login", "live"))
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
