"""The listener: what the head end calls. It stores first and answers then (I4).

What is decidable without the body is decided before the body is read. What is refused is kept in
quarantine with its reason, answered with a fault that says little, and counted.
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Final

from aiohttp import web

from adapter.engine import crash_points
from adapter.engine.clock import SystemClock
from adapter.engine.commands.ports import Clock, Received, Spooled
from adapter.engine.inbox import MessageReceiver
from adapter.engine.readings.spool import Spool, Spooling
from adapter.engine.upkeep.callback_checks import CHECK_PATH, CallbackChecks, CheckArrival
from adapter.errors import StoreFailed
from adapter.model.ids import CommunicationId
from adapter.model.values import replace
from adapter.server.bodies import Body, one_turn, read_body
from adapter.server.connections import SERVER, MakeProtocol, mark_stranger, without_routes
from adapter.server.credentials import BasicUsers
from adapter.server.rate_limit import LimitedLog
from adapter.server.ready_response import ReadyResponse
from adapter.server.server import Server
from adapter.server.settings import BasicUser, ListenerSettings
from adapter.server.whole_requests import WholeConnection
from adapter.web.listener.addresses import OPERATIONS, Address, Addresses
from adapter.web.listener.checks import (
    MEDIA_OF,
    SOAP_OF,
    Refusal,
    action_of,
    judge_body,
    judge_headers,
)
from adapter.web.listener.plain import PlainCallbacks
from adapter.web.listener.quarantine import Quarantine
from adapter.wire.codec import Codec, DecodedMessage
from adapter.wire.faults import soap_fault
from adapter.wire.inbound import FaultCode, HostedCall, MessageJudge, Unacceptable
from adapter.wire.notifications import STATUS_CHANGED, acknowledgement
from adapter.wire.served import ServedContract, asks_for_contract, base_address
from adapter.wire.xml import Soap

_BUSY: Final = {"Retry-After": "5"}
_UNADDRESSED_AT_ONCE: Final = 4
_REFUSED_AT_ONCE: Final = 2
_REST_S: Final = 0.006
"""So few are judged and stored at a time of what anybody can send, with a rest after each while
more waits. A flood of it waits for its own kind, and callbacks at signed addresses find the event
loop free."""

_TURNS: Final = 8
"""Of the event loop that a callback takes, from its coming to its answer, or a few more."""

log = logging.getLogger(__name__)
limited_log = LimitedLog(log)


class Listener(Server):
    """Serves the four inbound operations and their WSDL."""

    section = "listener"
    started = "listener_started"

    def __init__(
        self,
        inbox: MessageReceiver,
        codec: Codec,
        settings: ListenerSettings | None = None,
        *,
        clock: Clock | None = None,
        listening: socket.socket | None = None,
        spool: Spool | None = None,
        checks: CallbackChecks | None = None,
    ) -> None:
        self.settings = settings or ListenerSettings()
        super().__init__(self.settings, listening)
        self._inbox = inbox
        self._codec = codec
        self._clock = clock or SystemClock()
        self._spool = spool
        self._checks = checks
        self._users = BasicUsers(self.settings.users)
        self._addresses = Addresses(self.settings.path_prefix)
        self._contract = {key: ServedContract(codec.catalog, [key]) for key in OPERATIONS.values()}
        self._acks = {
            (key, soap): _Acknowledgement(acknowledgement(codec, key, soap), soap)
            for key in OPERATIONS.values()
            for soap in Soap
        }

    # ------------------------------------------------------------ life

    def let_in(self, users: Sequence[BasicUser]) -> None:
        """Put these names and passwords in force in place of those before. Whether any are asked
        for at all stays as it was."""
        self._users.use(users)

    async def _runner(self) -> web.BaseRunner:
        self._quarantine = Quarantine(self._inbox, self.settings.quarantine, self.counts)
        self._large = asyncio.Semaphore(self.settings.bodies.large_at_once)
        self._unaddressed = _Turns(_UNADDRESSED_AT_ONCE)
        self._refused = {known: _Turns(_REFUSED_AT_ONCE) for known in (True, False)}
        return without_routes(self._bounded, self.settings.connections)

    def _protocol(self) -> MakeProtocol:
        self._plain = plain = PlainCallbacks(
            self._inbox,
            self._codec,
            self.settings,
            self._addresses,
            self._clock,
            self.counts,
            lambda soap: self._acks[STATUS_CHANGED, soap].whole(),
        )
        return partial(WholeConnection, plain)

    async def _bounded(self, request: web.BaseRequest) -> web.StreamResponse:
        """Whatever goes wrong below becomes a short answer here, never a traceback outside."""
        try:
            return await self._answer_to(request)
        except StoreFailed:
            self.counts["http_503"] += 1
            limited_log.warning("store_failed_nothing_acknowledged")
            return self._fault(
                request,
                Refusal(
                    status=503,
                    code=FaultCode.SERVER,
                    text="The message could not be stored; send it again.",
                    reason="",
                    headers=_BUSY,
                ),
            )
        except Exception:
            self.counts["http_500"] += 1
            log.exception("listener_failed")
            return self._fault(
                request,
                Refusal(
                    status=500,
                    code=FaultCode.SERVER,
                    text="The message could not be processed.",
                    reason="",
                ),
            )

    async def _answer_to(self, request: web.BaseRequest) -> web.StreamResponse:
        address = self._addresses.find(request.rel_url.path_safe)
        if address is None:
            return self._checked(request) or self._no_such_address(request)
        if request.method == "POST":
            return await self._take(request, address)
        if address.communication is not None or request.method not in ("GET", "HEAD"):
            self.counts["http_405"] += 1
            allowed = "POST" if address.communication is not None else "GET,HEAD,POST"
            return web.Response(status=405, text="Method Not Allowed\n", headers={"Allow": allowed})
        return self._describe(request, address)

    def _checked(self, request: web.BaseRequest) -> web.Response | None:
        """The answer to a call by which somebody finds out whether the address leads here."""
        before, found, check = request.rel_url.path_safe.partition(CHECK_PATH)
        if self._checks is None or not found or before != self.settings.path_prefix:
            return None
        if request.method != "POST":
            return None
        given = request.headers.get("Authorization")
        arrival = CheckArrival(
            at=self._clock.now(),
            remote=request.remote or "",
            headers=tuple(name.lower() for name in request.headers),
            authorized=self._users.know(given) if self.settings.users else None,
        )
        word = self._checks.called(check, arrival)
        return web.Response(text=word) if word else None

    def _no_such_address(self, request: web.BaseRequest) -> web.Response:
        self.counts["http_404"] += 1
        if request.method != "POST":
            return web.Response(status=404, text="Not Found\n")
        return self._fault(request, Refusal(status=404, text="No such address.", reason=""))

    # ------------------------------------------------------------ messages

    async def _take(self, request: web.BaseRequest, address: Address) -> web.StreamResponse:
        self.counts["requests"] += 1
        key, communication = address.operation, address.communication
        refusal = self._before_the_body(request, address)
        if refusal is not None:
            return await self._refuse_unread(request, refusal)
        spooling = self._spooling(key)
        try:
            body, rest = await self._read(request, address, spooling)
            async with self._turn(key, communication):
                judged = await rest.judged()
                refusal = judge_body(request, key, body, judged)
                if refusal is not None:
                    body = replace(body, cut=body.cut or body.spilled)
                    await self._keep(request, refusal, body, communication)
                    return self._fault(request, refusal)
                assert isinstance(judged, HostedCall)
                if judged.foreign_action:
                    self._note_action(judged)
                if body.spilled and spooling is not None:
                    spooled, spooling = await spooling.done(), None
                    await self._receive(request, judged, b"", communication, spooled)
                else:
                    await self._receive(
                        request, judged, body.raw, communication, message=rest.message
                    )
            return self._acks[judged.operation, judged.soap].to(request)
        finally:
            if spooling is not None:
                await spooling.drop()

    def _turn(
        self, key: str, communication: CommunicationId | None
    ) -> AbstractAsyncContextManager[None]:
        """For judging and storing what is read: a status message at the address that names no
        request waits for its turn."""
        return self._unaddressed if key == STATUS_CHANGED and not communication else nullcontext()

    def _note_action(self, call: HostedCall) -> None:
        self.counts["foreign_action"] += 1
        limited_log.warning(
            "foreign_soap_action", operation=call.operation, action=call.foreign_action
        )

    def _spooling(self, key: str) -> Spooling | None:
        """Where a large body goes; status messages are never large."""
        if self._spool is None or key == STATUS_CHANGED:
            return None
        return self._spool.begin(self._clock.now())

    async def _receive(
        self,
        request: web.BaseRequest,
        call: HostedCall,
        raw: bytes,
        communication: CommunicationId | None,
        spooled: Spooled | None = None,
        *,
        message: DecodedMessage | None = None,
    ) -> None:
        """Durable when this returns; only then is there an answer."""
        received = Received(
            operation=call.operation,
            raw=raw,
            at=self._clock.now(),
            communication=communication,
            remote=request.remote or "",
            spool=spooled,
            message=message,
        )
        crash_points.reached("listener.before_receive")
        await self._inbox.take(received)
        crash_points.reached("listener.after_receive")
        self.counts["received"] += 1

    def _before_the_body(self, request: web.BaseRequest, address: Address) -> Refusal | None:
        key, named = address.operation, address.communication
        given = request.headers.get("Authorization")
        if not self._users.know(given):
            return Refusal(
                status=401,
                text="Credentials are missing or wrong.",
                reason="wrong credentials",
                operation=key,
                known=False,
                counted=True,
                question=not given,
                headers={"WWW-Authenticate": 'Basic realm="openway", charset="UTF-8"'},
            )
        if named is not None and not self._inbox.genuine(named, address.secret):
            return Refusal(
                status=404,
                text="No such address.",
                reason=f"callback address of {named[:64]!r} is not genuine",
                operation=key,
                known=bool(self.settings.users),
            )
        return judge_headers(request, key, self._limit(key))

    async def _read(
        self, request: web.BaseRequest, address: Address, spooling: Spooling | None
    ) -> tuple[Body, "_Unjudged"]:
        """The body, and what of it is still to be judged. One past `whole_bytes` is judged while it
        comes in."""
        bounds = self.settings.bodies
        key = address.operation
        status = key == STATUS_CHANGED
        known = address.communication is not None or bool(self.settings.users)
        judge = MessageJudge(self._codec, action_of(request), known=known)
        rest = _Unjudged(judge, bounds.whole_bytes)
        body = await read_body(
            request,
            limit=self._limit(key),
            deadline_s=bounds.deadline_s if status else bounds.data_deadline_s,
            each=rest.take,
            places=self._large,
            free_bytes=bounds.whole_bytes,
            spill=None if spooling is None else spooling.add,
            pace=bounds.pace,
            turn=self._give_way,
        )
        return body, rest

    async def _give_way(self) -> None:
        """One turn of the event loop, and a few more where callbacks are under way: each of these
        takes several, and would wait for the next piece of a large body in every one."""
        await one_turn()
        left = _TURNS
        while left and self._plain.under_way:
            await one_turn()
            left -= 1

    def _limit(self, key: str) -> int:
        bounds = self.settings.bodies
        if key == STATUS_CHANGED:
            return bounds.status_bytes
        held = bounds.data_bytes if self._spool is not None else bounds.held_bytes
        return min(held, bounds.data_bytes)

    # ------------------------------------------------------------ refusals

    async def _refuse_unread(self, request: web.BaseRequest, refusal: Refusal) -> web.Response:
        """Keep the beginning of the body, unless the caller waits to be invited to send it, or has
        only asked whether credentials are wanted, as HTTP clients do at first."""
        if refusal.question:
            return self._challenge(request, refusal)
        if not refusal.known:
            mark_stranger(request)
        limits = self.settings.quarantine
        body = Body(raw=b"", cut=request.can_read_body)
        if request.can_read_body and "Expect" not in request.headers:
            body = await read_body(request, limit=limits.message_bytes, deadline_s=limits.capture_s)
        await self._keep(request, refusal, body, None)
        response = self._fault(request, refusal)
        response.force_close()
        return response

    def _challenge(self, request: web.BaseRequest, refusal: Refusal) -> web.Response:
        self.counts["challenged"] += 1
        limited_log.info("credentials_asked_for", remote=request.remote or "")
        self.counts["http_401"] += 1
        response = self._fault(request, refusal)
        response.force_close()
        return response

    async def _keep(
        self,
        request: web.BaseRequest,
        refusal: Refusal,
        body: Body,
        communication: CommunicationId | None,
    ) -> None:
        self.counts[f"http_{refusal.status}"] += 1
        remote = request.remote or ""
        limited_log.warning("message_refused", reason=refusal.reason, remote=remote)
        at = self._clock.now()
        async with self._refused[refusal.known]:
            await self._quarantine.keep(
                body.raw,
                reason=refusal.reason,
                at=at,
                remote=remote,
                operation=refusal.operation,
                communication=communication,
                cut=body.cut,
                length=request.content_length,
                known=refusal.known,
                counted=refusal.counted,
            )

    def _fault(self, request: web.BaseRequest, refusal: Refusal) -> web.Response:
        soap = refusal.soap or SOAP_OF.get(request.content_type, Soap.V11)
        body = soap_fault(refusal.code.value, refusal.text, soap=soap)
        response = _answer(refusal.status, body, soap, refusal.headers)
        if refusal.status in (408, 413):
            response.force_close()
        return response

    # ------------------------------------------------------------ contract

    def _describe(self, request: web.BaseRequest, address: Address) -> web.Response:
        if not asks_for_contract(request.query):
            return web.Response(text="An OpenWay callback address. Its contract is at ?wsdl\n")
        settings = self.settings
        asked = base_address(request.scheme, request.headers.get("Host"), otherwise=self.url)
        base = settings.public_url.rstrip("/") or asked
        place = base + settings.path_prefix + address.path
        page = self._contract[address.operation].page(request.query, address=place)
        if page is None:
            return self._no_such_address(request)
        return web.Response(body=page, content_type="text/xml", charset="utf-8")


def _media(soap: Soap) -> dict[str, str]:
    return {"Content-Type": f"{MEDIA_OF[soap]}; charset=utf-8"}


def _answer(
    status: int, body: bytes, soap: Soap, headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.Response(status=status, body=body, headers={**_media(soap), **(headers or {})})


class _Acknowledgement:
    """The answer to a message that was taken."""

    def __init__(self, body: bytes, soap: Soap) -> None:
        self._body = body
        self._soap = soap
        self._ready = ReadyResponse(body, {**_media(soap), "Server": SERVER})

    def whole(self) -> bytes:
        return self._ready.whole()

    def to(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._ready.fits(request):
            return self._ready
        return _answer(200, self._body, self._soap)


class _Turns:
    """Places for what comes in floods. One that is left stays empty a while where others wait."""

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._waiting = 0

    async def __aenter__(self) -> None:
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1

    async def __aexit__(self, *_: object) -> None:
        if self._waiting:
            asyncio.get_running_loop().call_later(_REST_S, self._free.release)
        else:
            self._free.release()


class _Unjudged:
    """The pieces of one body that its judge has not seen."""

    def __init__(self, judge: MessageJudge, whole_bytes: int) -> None:
        self._judge = judge
        self._whole_bytes = whole_bytes
        self._pieces: deque[bytes] = deque()
        self._size = 0

    def take(self, piece: bytes) -> bool:
        """The next one. False: the message is refused, and no more is wanted."""
        self._size += len(piece)
        self._pieces.append(piece)
        if self._size <= self._whole_bytes:
            return True
        # Two for each that comes: what was held back is caught up with, and nobody waits long.
        some = [self._pieces.popleft() for _ in range(min(2, len(self._pieces)))]
        return all([self._judge.feed(item) is None for item in some])  # noqa: C419

    async def judged(self) -> HostedCall | Unacceptable:
        """What the message is, once there is no more."""
        if self._size <= self._whole_bytes:
            return self._judge.whole(b"".join(self._pieces))
        for piece in self._pieces:
            self._judge.feed(piece)
            await asyncio.sleep(0)
        return self._judge.finish()

    @property
    def message(self) -> DecodedMessage | None:
        """What a short StatusChanged says."""
        return self._judge.message
