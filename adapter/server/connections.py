"""Connections from outside: accepted one by one, counted, bounded, closed when idle.

The web server's own accepting has no limit, keeps silent sockets for an hour and writes a log line
per failed accept; here a connection has a place before it has a protocol.
"""

import asyncio
import errno
import logging
import resource
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from aiohttp import http_parser, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from adapter.errors import SettingsError
from adapter.server.rate_limit import LimitedLog
from adapter.server.settings import ConnectionLimits, ServerTls
from adapter.settings.text_files import require_file

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_BREATHER_S: Final = 0.1
_LATE: Final = 0.2
_LATE_IN_A_CROWD: Final = 0.01
"""Of the time that a body may be behind, the share after which a new connection may have its
place; less of it where most of the connections wait for a body."""

_BACKLOG: Final = 1024
_OTHER_DESCRIPTORS: Final = 256
SERVER: Final = "openway"
READ_BYTES: Final = 64 * 1024
_REST_S: Final = 0.001
"""Between two such reads of what nobody wants."""

# Extensions of chunks have no bound of their own. aiohttp sets no callback of llhttp for them, so
# that nothing here sees one; a second parser over the same bytes could read them in another way.
# They are kept nowhere, and are no bytes of the body: its deadline and least rate end them.

log = logging.getLogger(__name__)
limited_log = LimitedLog(log)


def bind(host: str, port: int, *, section: str = "") -> socket.socket:
    """A listening socket; port 0 is any free one. Raises OSError, with the address as its file and
    the `section` of the settings that it comes from."""
    try:
        return _bind(host, port)
    except OSError as error:
        named = f" ({section}.host, {section}.port)" if section else ""
        raise OSError(error.errno, f"{error.strerror}{named}", f"{host}:{port}") from error


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def url_of(listening: socket.socket, *, tls: bool) -> str:
    """The address of a bound socket, without a path."""
    host, port = listening.getsockname()[:2]
    return f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{port}"


def require_c_parser() -> None:
    """Raises SettingsError where aiohttp would parse HTTP in Python.

    That parser waits for lengths no 64-bit number holds, and is many times slower.
    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise SettingsError("aiohttp: its C parser is missing or switched off (no extensions)")


def require_descriptors(connections: int) -> None:
    """Raise the process's own limit as far as needed. Raises SettingsError where that fails."""
    needed = connections + _OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    except (ValueError, OSError) as error:
        raise SettingsError(
            f"connections: {connections} need {needed} open files, the limit is {hard}"
        ) from error


def tls_context(tls: ServerTls) -> ssl.SSLContext:
    """TLS 1.2 and later. Raises SettingsError naming the files that do not fit."""
    require_file(tls.certificate_file, f"tls: certificate_file {tls.certificate_file}")
    require_file(tls.key_file, f"tls: key_file {tls.key_file}", private=True)
    if tls.client_ca_file is not None:
        require_file(tls.client_ca_file, f"tls: client_ca_file {tls.client_ca_file}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        phrase = tls.key_password.reveal() if tls.key_password is not None else None
        context.load_cert_chain(tls.certificate_file, tls.key_file, phrase)
        if tls.client_ca_file is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(tls.client_ca_file)
    except OSError as error:
        raise SettingsError(f"tls: {tls.certificate_file}: {error}") from error
    return context


@dataclass(frozen=True, slots=True)
class Behind:
    """A body that is waited for: behind its least rate from `since` on, if nothing comes, and cut
    off `over_s` later."""

    since: float
    over_s: float

    def share(self, now: float) -> float:
        return (now - self.since) / self.over_s


class Closable(Protocol):
    """A connection, whoever answers on it."""

    def force_close(self) -> None: ...

    async def leave(self, longest_s: float) -> None:
        """Take nothing more; let the request that is under way end."""


@dataclass(slots=True, eq=False)
class ConnectionSlot:
    """What one accepted connection takes up, from accept to close.

    `since` is when it was accepted or last at work; `served`, whether it ever got an answer.
    `behind` is set while more of a body is waited for. `stranger`: its last credentials were
    wrong, or it had none.
    """

    address: str
    since: float
    served: bool = False
    protocol: "Closable | None" = None
    task: "asyncio.Task[None] | None" = None
    busy: bool = False
    behind: "Behind | None" = None
    stranger: bool = False

    def late(self, now: float) -> float:
        """Of the time that a body may be behind the least rate the share that is used up."""
        return self.behind.share(now) if self.behind is not None else 0.0

    def work(self, begins: bool, now: float, *, answered: bool = True) -> None:
        """A request is under way, or the last one has its answer.

        One that is not at work may lose its place to a new connection.
        """
        self.served |= answered and not (begins or self.stranger)
        self.stranger = False
        self.busy = begins
        self.since = now

    def close(self) -> None:
        if self.task is not None:
            self.task.cancel()
        if self.protocol is not None:
            self.protocol.force_close()


@dataclass(slots=True)
class Places:
    """All connections of one server."""

    limits: ConnectionLimits
    counts: Counter[str]
    leaving: bool = False
    """Whether each answer says that its connection ends with it."""
    taken: set[ConnectionSlot] = field(default_factory=set)
    by_address: Counter[str] = field(default_factory=Counter)

    def take(self, address: str, now: float) -> ConnectionSlot | None:
        """A place, at the cost of the longest idle one where all are taken; None: none is idle."""
        if self.by_address[address] >= self.limits.per_address:
            if not self.evict(address, now):
                self.counts["connections_refused_address"] += 1
                return None
        elif len(self.taken) >= self.limits.connections and not self.evict(None, now):
            self.counts["connections_refused"] += 1
            return None
        place = ConnectionSlot(address=address, since=now)
        self.taken.add(place)
        self.by_address[address] += 1
        return place

    def leave(self, place: ConnectionSlot) -> None:
        if place in self.taken:
            self.taken.remove(place)
            self.by_address[place.address] -= 1
            if not self.by_address[place.address]:
                del self.by_address[place.address]

    def evict(self, address: str | None, now: float) -> bool:
        """Close one that is idle or late, of `address` if one is given. False: there is none.

        Where most wait for a body, those late by a little give way too, and they alone: else
        callers that send nothing would have the places of those that were served.
        """
        asked = [each for each in self.taken if address is None or each.address == address]
        crowded = 2 * sum(each.late(now) > 0 for each in asked) > len(asked)
        late = _LATE_IN_A_CROWD if crowded else _LATE
        free = [
            each
            for each in asked
            if each.late(now) > late or not (each.busy or (crowded and each.served))
        ]
        if not free:
            return False
        victim = min(free, key=self._worth)
        self.leave(victim)
        victim.close()
        self.counts["connections_evicted"] += 1
        return True

    def _worth(self, place: ConnectionSlot) -> tuple[int, int, float]:
        """Strangers and late ones go first, then silent ones; of them those of the address with
        the most, then the oldest."""
        since = place.since if place.behind is None else place.behind.since
        first = place.stranger or place.behind is not None
        return 0 if first else 1 + place.served, -self.by_address[place.address], since


class Connection(web.RequestHandler):
    """One connection's HTTP, with its place. Bytes that are not HTTP are counted, not traced."""

    __slots__ = ("_left", "_place", "_places", "_silent")

    def __init__(self, server: web.Server, place: ConnectionSlot, places: Places) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=places.limits.idle_s,
            lingering_time=0.0,  # see finish_response
            read_bufsize=READ_BYTES,
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]  # None is how it is switched off
        )
        self._place = place
        self._places = places
        self._silent: asyncio.TimerHandle | None = None
        self._left: asyncio.Future[None] | None = None
        place.protocol = self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # aiohttp's timer closes nothing where it goes off before aiohttp's task has begun, and
        # under uvloop a timer goes before a task, however late both are.
        loop = asyncio.get_running_loop()
        self._silent = loop.call_later(self._places.limits.idle_s, self._close_silent)

    def _close_silent(self) -> None:
        if not (self._place.served or self._place.busy):
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._places.leave(self._place)
        if self._silent is not None:
            self._silent.cancel()
        if self._left is not None and not self._left.done():
            self._left.set_result(None)
        super().connection_lost(exc)

    def resume_reading(self, resume_parser: bool = True) -> None:
        if self._reading_paused:  # aiohttp's parser else looks at no bytes after each piece
            super().resume_reading(resume_parser)

    def busy(self, yes: bool) -> None:
        """See `work` of its place."""
        self._place.work(yes, self._loop.time())

    @property
    def leaving(self) -> bool:
        """See its places."""
        return self._places.leaving

    async def leave(self, longest_s: float) -> None:
        """Take no further request. One that has begun comes whole, and has its answer: the web
        server, told to close, would drop what of a body is still to come."""
        if self._request_count == 0 or (self._waiter is not None and not self._waiter.done()):
            self.force_close()
        self._left = self._loop.create_future()
        if self.transport is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(longest_s):
                    await self._left

    def stranger(self) -> None:
        """See `stranger` of its place."""
        self._place.stranger = True
        self._place.busy = False

    def behind(self, how: Behind | None) -> None:
        """See its place."""
        self._place.behind = how

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer. What the caller still sends of its body is read and dropped at a pace
        that leaves the event loop to others, where the web server's own lingering reads all that
        can be had."""
        sent = await super().finish_response(request, resp, start_time)
        if not request.content.is_eof():
            with suppress(TimeoutError, OSError, web.RequestPayloadError, HttpProcessingError):
                await asyncio.wait_for(_drop_the_rest(request), self._places.limits.linger_s)
        if self.leaving:
            self.close()
        return sent

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never became a request, in few words. The connection is closed."""
        if isinstance(exc, HttpProcessingError):
            self._places.counts["http_parse"] += 1
            limited_log.warning("http_not_understood", remote=self._place.address)
            response = web.Response(status=400, text="Bad Request\n")
        else:
            self._places.counts["failures"] += 1
            log.error("request_failed", exc_info=exc)
            response = web.Response(status=status, text="The request could not be processed.\n")
        response.headers["Server"] = SERVER
        response.force_close()
        return response


async def next_piece(request: web.BaseRequest) -> bytes:
    """What there is of the body, once there is some; b"" at its end. Raises what aiohttp raises
    for a body that ends early, and OSError."""
    try:
        return await request.content.readany()
    except RuntimeError as error:
        if request.transport is not None:
            raise
        # What aiohttp says where the connection was closed between two pieces.
        raise ConnectionResetError("closed") from error


async def _drop_the_rest(request: web.BaseRequest) -> None:
    while await next_piece(request):  # noqa: ASYNC110  # a pace, not a poll
        await asyncio.sleep(_REST_S)


def is_leaving(request: web.BaseRequest) -> bool:
    """Whether its connection is to end with the answer."""
    return isinstance(request.protocol, Connection) and request.protocol.leaving


def mark_busy(request: web.BaseRequest, yes: bool) -> None:
    """A request is under way, or has its answer."""
    if isinstance(request.protocol, Connection):
        request.protocol.busy(yes)


def mark_stranger(request: web.BaseRequest) -> None:
    """The request is refused for its credentials: its connection need not be kept till then."""
    if isinstance(request.protocol, Connection):
        request.protocol.stranger()


def mark_behind(request: web.BaseRequest, how: Behind | None) -> None:
    """More of the request's body is waited for; None: it is not."""
    if isinstance(request.protocol, Connection):
        request.protocol.behind(how)


@web.middleware
async def _occupied(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Marks the connection busy while a request is worked on."""
    mark_busy(request, True)
    try:
        return await handler(request)
    finally:
        mark_busy(request, False)


async def _unnamed(request: web.Request, response: web.StreamResponse) -> None:
    """Versions of what runs here are nobody's business."""
    response.headers["Server"] = SERVER
    if is_leaving(request):
        response.headers["Connection"] = "close"
        response.force_close()


def with_routes(app: web.Application, limits: ConnectionLimits) -> web.BaseRunner:
    """Has the application answer, by its routes and middlewares."""
    app.middlewares.insert(0, _occupied)
    app.on_response_prepare.append(_unnamed)
    return web.AppRunner(app, handler_cancellation=False, shutdown_timeout=_cut_off_s(limits))


def without_routes(
    answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], limits: ConnectionLimits
) -> web.BaseRunner:
    """Has one coroutine answer whatever comes; it raises nothing."""

    async def occupied(request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)  # as the door makes them
        connection.busy(True)
        try:
            response = await answer(request)
        finally:
            connection.busy(False)
        if connection.leaving:
            response.force_close()
        response.headers["Server"] = SERVER
        return response

    return web.ServerRunner(web.Server(occupied), shutdown_timeout=_cut_off_s(limits))


def _cut_off_s(limits: ConnectionLimits) -> float:
    """The web server waits so long before it cancels what has not ended, and as long after it."""
    return limits.drain_s / 2


MakeProtocol = Callable[[web.Server, ConnectionSlot, Places], asyncio.BaseProtocol]
"""What hears a connection first."""


class Door:
    """Accepts on one socket for `runner` (see `with_routes`, `without_routes`), until stopped."""

    def __init__(
        self,
        runner: web.BaseRunner,
        limits: ConnectionLimits,
        tls: ServerTls | None,
        counts: Counter[str],
        protocol: MakeProtocol | None = None,
    ) -> None:
        self._protocol = protocol or Connection
        self._limits = limits
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._places = Places(limits, counts)
        self._counts = counts
        self._runner = runner
        self._socket: socket.socket | None = None
        self._pausing: asyncio.TimerHandle | None = None

    @property
    def open_connections(self) -> int:
        return len(self._places.taken)

    async def open(self, listening: socket.socket) -> str:
        """Serve on a bound socket, which is closed with the door. Gives the address.

        Raises SettingsError for what bars a safe start; then the socket is closed too.
        """
        try:
            require_c_parser()
            require_descriptors(self._limits.connections)
            self._context = tls_context(self._tls) if self._tls is not None else None
            await self._runner.setup()
        except BaseException:
            listening.close()
            raise
        self._socket = listening
        self._listen(listening)
        return url_of(listening, tls=self._context is not None)

    def use(self, context: ssl.SSLContext) -> None:
        """Show new connections another certificate; those that are open go on as they are."""
        self._context = context

    def leave(self) -> None:
        """Take requests as before, and end each connection with its next answer: who balances
        loads has them elsewhere when the door closes."""
        self._places.leaving = True

    async def close(self) -> None:
        """Accept nothing more, let requests under way end, close the rest."""
        if self._pausing is not None:
            self._pausing.cancel()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
        self.leave()
        theirs = [place.protocol for place in self._places.taken if place.protocol is not None]
        await asyncio.gather(*(each.leave(self._limits.drain_s) for each in theirs))
        await self._runner.cleanup()
        tasks = [place.task for place in self._places.taken if place.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _listen(self, listening: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            accepted, peer = listening.accept()
        except BlockingIOError:
            return
        except OSError as error:
            self._counts["accept_failed"] += 1
            limited_log.warning("accept_failed", error=error.strerror)
            if error.errno in _EXHAUSTED and not self._places.evict(None, loop.time()):
                loop.remove_reader(listening)
                self._pausing = loop.call_later(_BREATHER_S, self._listen, listening)
            return
        accepted.setblocking(False)
        place = self._places.take(str(peer[0]), loop.time())
        if place is None:
            limited_log.warning("connection_refused", remote=str(peer[0]))
            accepted.close()
            return
        place.task = asyncio.create_task(self._serve(accepted, place))

    async def _serve(self, accepted: socket.socket, place: ConnectionSlot) -> None:
        server = self._runner.server
        if server is None:
            accepted.close()
            return
        _bound_unsent(accepted, self._limits.unsent_s)
        handshake_s = self._limits.handshake_s if self._context is not None else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._protocol(server, place, self._places),
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=handshake_s,
            )
        except (OSError, asyncio.CancelledError) as error:
            self._places.leave(place)
            accepted.close()
            if isinstance(error, asyncio.CancelledError):
                raise
            self._counts["handshakes_failed"] += 1
            limited_log.warning("handshake_failed", remote=place.address)
        finally:
            place.task = None


def _bound_unsent(accepted: socket.socket, seconds: float) -> None:
    """Have the system give up a peer that does not take what was sent."""
    if hasattr(socket, "TCP_USER_TIMEOUT") and accepted.family in (
        socket.AF_INET,
        socket.AF_INET6,
    ):
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))
