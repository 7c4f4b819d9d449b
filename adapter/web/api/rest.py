"""The JSON interface over HTTP, on a port of its own."""

import asyncio
import contextlib
import logging
import socket
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from functools import partial
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp_sse import sse_response

from adapter.engine import crash_points, tracing
from adapter.engine.clock import SystemClock
from adapter.engine.commands.ports import Clock
from adapter.engine.feed.feed import cursor_of
from adapter.engine.feed.ports import FeedPage
from adapter.engine.gateway import Gateway
from adapter.engine.upkeep.durations import Measure
from adapter.engine.upkeep.signals import Signal
from adapter.errors import GatewayError
from adapter.server.bodies import continue_later, read_body
from adapter.server.connections import SERVER, Connection, MakeProtocol, with_routes
from adapter.server.credentials import Caller, CallerEnded, bearer_of
from adapter.server.rate_limit import AuditedRefusals, RateLimit
from adapter.server.server import Server
from adapter.server.settings import RestSettings, Role
from adapter.web.api import reference
from adapter.web.api.call import (
    PREFIX,
    READ_AT_ONCE,
    ApiContext,
    ApiRequest,
    ApiResponse,
    RawBody,
    require,
)
from adapter.web.api.incoming import CALLER, check_headers, decoded, query_of
from adapter.web.api.measured import Measured
from adapter.web.api.openapi import document_json
from adapter.web.api.problems import HEADERS, LINES, ProblemRaised, of_error, response_of
from adapter.web.api.routes import ROUTES, Route
from adapter.web.console.console import Console
from adapter.web.console.elements import ROOT

_JSON: Final = "application/json"
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_FAILED: Final = frozenset({"unauthorized", "second_person_missing"})
"""Problems of who may be guessing keys."""
_AT_ONCE: Final = 8
"""So many routes are made in one turn of the event loop."""

log = logging.getLogger(__name__)


class _ProblemConnection(Connection):
    """Answers what never became a request, a line that is too long, with problem details too."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        status = 400 if super().handle_error(request, status, exc, message).status == 400 else 500
        response = response_of(ProblemRaised(status, f"http_{status}", ""))
        response.headers["Server"] = SERVER
        response.force_close()
        return response


class Rest(Server):
    """Serves the routes of `routes.py`."""

    section = "api"
    started = "rest_started"

    def __init__(
        self,
        gateway: Gateway,
        settings: RestSettings | None = None,
        *,
        clock: Clock | None = None,
        listening: socket.socket | None = None,
    ) -> None:
        self.settings = settings or RestSettings()
        super().__init__(self.settings, listening)
        self._clock = clock or SystemClock()
        self._api = ApiContext(gateway, self.settings, self._clock)
        self._decoders = {
            route.takes: msgspec.json.Decoder(route.takes)
            for route in ROUTES
            if route.takes is not None and not route.media
        }
        self._failures = RateLimit(self.settings.failures_per_minute)
        self._audited = AuditedRefusals(self.settings.audited_refusals_per_minute)
        self.answered: Counter[tuple[str, str]] = Counter()
        """Requests by method and route, and by status."""
        self.metrics: Measured | None = None
        """What the gateway measures of itself; None: it is not served."""
        self.console = Console(self._api, self._clock, metrics=lambda: self.metrics)

    @property
    def api(self) -> ApiContext:
        """What its calls work with."""
        return self._api

    @property
    def addresses(self) -> Mapping[str, str]:
        found = {"api": f"{self.url}{PREFIX}"}
        return found | ({"console": f"{self.url}{ROOT}"} if self.settings.console.enabled else {})

    async def start(self) -> str:
        self._api.gateway.feed.let_wait(True)
        return await super().start()

    async def stop(self) -> None:
        self._api.gateway.feed.let_wait(False)
        await self.console.live.stop()
        await super().stop()

    def _protocol(self) -> MakeProtocol:
        return _ProblemConnection

    async def _runner(self) -> web.BaseRunner:
        """Paths take milliseconds to compile. At a start the commands that were under way have
        their turn in between."""
        app = web.Application(middlewares=[self._bounded])
        for place, route in enumerate(ROUTES):
            if place % _AT_ONCE == 0:
                await asyncio.sleep(0)
            app.router.add_route(
                route.method, route.path, self._answering(route), expect_handler=continue_later
            )
            if route.method == "GET" and not route.roles:  # load balancers ask so
                app.router.add_route("HEAD", route.path, self._answering(route))
        app.router.add_route("GET", "/openapi.json", self._describe)
        app.router.add_route("GET", "/metrics", self._measured)
        reference.add_routes(app)
        if self.settings.console.enabled:
            self.console.add_routes(app)
        for path in {route.path for route in ROUTES if "{" not in route.path}:
            app.router.add_route("*", path, _not_allowed)
        return with_routes(app, self.settings.connections)

    @web.middleware
    async def _bounded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every error becomes problem details here; nothing of the inside is told."""
        self.counts["requests"] += 1
        began = time.perf_counter()
        try:
            response = await self._answered(request, handler)
        finally:
            route, took = _pattern(request), time.perf_counter() - began
            name = f"{request.method} {route}" if route else "unknown"  # a stranger's words
            self._api.gateway.upkeep.durations.add(Measure.REQUEST, name, took)
        self.counts[f"status_{response.status}"] += 1
        self.answered[name, str(response.status)] += 1
        return response

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ProblemRaised as raised:
            problem = raised
        except CallerEnded:
            problem = _unauthorized()
        except web.HTTPSeeOther as elsewhere:  # only the console sends people on
            return web.Response(status=elsewhere.status, headers=elsewhere.headers)
        except web.HTTPException as error:
            headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
            known = error.status if error.status in (404, 405, 417) else 400
            text = f"{request.method} {request.path[:200]}: {error.reason}"
            problem = ProblemRaised(known, f"http_{known}", text, headers=headers)
        except GatewayError as error:
            problem = of_error(error)
            if problem.problem.status >= 500:
                log.warning("request_not_served", extra={"code": error.code})
        except msgspec.DecodeError as error:
            # What comes in was read before: it is a row of the store that cannot be.
            log.error("row_unreadable", extra={"path": request.path[:200], "reason": str(error)})
            problem = ProblemRaised(500, "row_unreadable", "a row of the store cannot be read")
        except Exception:
            log.exception("rest_failed")
            problem = ProblemRaised(500, "internal_error", "the request could not be processed")
        if problem.problem.status in (401, 403):
            problem = await self._turned_away(request, problem)
        self.counts[f"http_{problem.problem.status}"] += 1
        if self.console.is_for(request):
            response = self.console.problem(problem, request)
        else:
            response = response_of(problem)
        if problem.problem.status in (408, 413):
            response.force_close()
        return response

    async def _turned_away(self, request: web.Request, problem: ProblemRaised) -> ProblemRaised:
        """What the caller is told: 429 who fails too often. A refused change is audited."""
        now, remote = self._clock.now(), request.remote or ""
        failed = problem.problem.code in _FAILED
        if failed:
            signals = self._api.gateway.upkeep.signals
            signals.tell(Signal.KEY_REFUSED, remote, remote=remote, server="api")
        if failed and self._failures.take(remote, now.timestamp()) is None:
            return ProblemRaised(
                429,
                "too_many_failures",
                "too many keys that are not right; a right one is let in",
                headers={"Retry-After": str(60 - now.second)},
            )
        key = request.get(CALLER)
        more = None
        if request.method not in ("GET", "HEAD"):
            more = self._audited.pick(key.name if key else f"address {remote}", now=now)
        if more is not None:
            detail = {
                "call": f"{request.method} {_pattern(request)}",
                "code": problem.problem.code,
                "address": remote,
                "refused_since": more,
            }
            try:
                await self._api.gateway.upkeep.note_refusal(
                    by=key.name if key else "unknown", why=detail
                )
            except GatewayError as error:
                log.warning("refusal_not_audited", extra={"code": error.code})
        return problem

    def _answering(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            now, key = await self._caller(request)
            if route.roles:
                _let_in(route.roles, key)
            query, body = query_of(route.query, request), await self._body(route, request)
            if route.roles and body is not None:  # the key may have ended while the body came
                now, key = await self._caller(request)
                _let_in(route.roles, key)
            asked = ApiRequest(
                key=key,
                headers=request.headers,
                path=request.match_info,
                query=query,
                body=body,
                now=now,
            )
            held = nullcontext if key is None else partial(self._api.keys.while_good, key, now=now)
            # What changes something is carried out, once it was let in.
            while_good = held if route.method == "GET" else nullcontext
            with tracing.continued(request.headers.get("traceparent", "")):
                async with while_good():
                    answered = await route.call(self._api, asked)
            crash_points.reached("rest.before_answer")
            if answered.pages is not None:
                return await _send_events(request, answered.pages, held)
            if answered.lines is not None:
                return await _stream(request, answered.lines, held)
            return _response(answered)

        return serve

    async def _body(self, route: Route, request: web.Request) -> msgspec.Struct | None:
        if route.takes is None:
            return None
        check_headers(request, self.settings.body_bytes, route.media or (_JSON,))
        body = await read_body(
            request, limit=self.settings.body_bytes, deadline_s=self.settings.deadline_s
        )
        if body.status:
            raise ProblemRaised(body.status, f"http_{body.status}", body.text)
        if route.media:
            return RawBody(media=request.content_type, raw=body.raw)
        decoder, raw = self._decoders[route.takes], body.raw or b"{}"
        if len(raw) <= READ_AT_ONCE:
            return decoded(decoder, raw)
        return await asyncio.to_thread(decoded, decoder, raw)

    async def _caller(self, request: web.Request) -> tuple[datetime, Caller | None]:
        """Who calls, and when that was judged."""
        now = self._clock.now()
        token = bearer_of(request.headers.get("Authorization"))
        key = await self._api.caller_of(token, now=now)
        if key is not None:
            request[CALLER] = key
        return now, key

    async def _measured(self, request: web.Request) -> web.StreamResponse:
        _, key = await self._caller(request)
        _let_in(tuple(Role), key)
        query_of((), request)
        if self.metrics is None:
            raise web.HTTPNotFound
        headers = {**HEADERS, "Content-Type": METRICS_TYPE}
        return web.Response(body=await self.metrics.text(), headers=headers)

    async def _describe(self, request: web.Request) -> web.StreamResponse:
        query_of((), request)
        return web.Response(body=document_json(), content_type=_JSON, headers=HEADERS)


async def _not_allowed(request: web.Request) -> web.StreamResponse:
    """For a path that is no id: what `{order}` allows is not allowed at `payment`."""
    known = [route.method for route in ROUTES if route.path == request.path]
    if any(not route.roles for route in ROUTES if route.path == request.path):
        known.append("HEAD")
    raise web.HTTPMethodNotAllowed(request.method, known)


def _pattern(request: web.Request) -> str:
    """The route's path, without what the caller put into it."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""


def _let_in(roles: tuple[Role, ...], key: Caller | None) -> None:
    """Raises 401 and 403, before a byte of the body is read."""
    if key is None:
        raise _unauthorized()
    require(key, *roles)


def _unauthorized() -> ProblemRaised:
    return ProblemRaised(
        401,
        "unauthorized",
        "a bearer token is missing, unknown or expired",
        headers={"WWW-Authenticate": 'Bearer realm="openway"'},
    )


class _Sent(msgspec.Struct):
    """What of an event stands beside its data."""

    seq: int
    id: str
    type: str


_sent_of: Final = msgspec.json.Decoder(_Sent).decode


Held = Callable[[], AbstractAsyncContextManager[None]]
"""What is done within ends with the caller's key."""


async def _send_events(
    request: web.Request, pages: AsyncGenerator[FeedPage, None], held: Held
) -> web.StreamResponse:
    """Each with the cursor behind it as its id, until the caller goes, or its key does."""
    async with contextlib.aclosing(pages), sse_response(request, headers=HEADERS) as response:
        with contextlib.suppress(ConnectionError, TimeoutError, CallerEnded):
            async with held():
                async for page in pages:
                    for event in page.events:
                        sent = _sent_of(event)
                        await response.send(
                            event.decode(), id=cursor_of(sent.seq, sent.id), event=sent.type
                        )
                    if not response.is_connected():
                        break
    return response


async def _stream(
    request: web.Request, lines: AsyncGenerator[bytes, None], held: Held
) -> web.StreamResponse:
    """As fast as they are taken. What fails on the way cuts the answer off, which shows."""
    response = web.StreamResponse(headers=HEADERS)
    response.content_type = LINES
    async with contextlib.aclosing(lines):
        await response.prepare(request)
        try:
            async with held():
                async for part in lines:
                    await response.write(part)
                await response.write_eof()
        except (GatewayError, OSError, CallerEnded) as error:
            log.warning("answer_cut_off", extra={"reason": type(error).__name__})
            response.force_close()
            if request.transport is not None:
                request.transport.abort()
    return response


def _response(answered: ApiResponse) -> web.Response:
    return web.Response(
        status=answered.status,
        body=msgspec.json.encode(answered.body, order="deterministic")
        if answered.raw is None
        else answered.raw,
        content_type=answered.media,
        headers={**HEADERS, **answered.headers},
    )
