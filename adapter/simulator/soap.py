"""One SOAP request of a caller: understand it, apply the scripts, act, and answer or not."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

from aiohttp import web
from msgspec import Struct

from adapter.engine.commands.ports import Clock
from adapter.errors import ContractError, WireError
from adapter.simulator.access import Gate
from adapter.simulator.bodies import wire_time
from adapter.simulator.delivery import Deliverer
from adapter.simulator.faults import Effect, Script
from adapter.simulator.jobs import FaultRaised
from adapter.simulator.journal import Entry, SimulatorJournal
from adapter.simulator.operations import WORK, callback_address
from adapter.simulator.responses import XML, response, whole
from adapter.simulator.seeded import guid
from adapter.simulator.world import Arrival, SimulatedReply, SimulatedWorld
from adapter.wire.codec import Codec, DecodedMessage, Direction
from adapter.wire.members import Complete, Misfit, completeness_of, misfit_in
from adapter.wire.xml import ENVELOPE_NS, Soap, open_envelope

_USUAL: Final = f"{XML}; charset=utf-8"
_CHARSETS: Final = ("utf-8", "utf-16")
_DISPATCHER: Final = (
    "http://schemas.microsoft.com/net/2005/12/windowscommunicationfoundation/dispatcher"
)
_ADDRESSING: Final = "http://schemas.microsoft.com/ws/2005/05/addressing/none"
_NAMESPACE_OF: Final = {
    "ActionNotSupported": _ADDRESSING,
    "VersionMismatch": ENVELOPE_NS[Soap.V11],
}
"""Of the fault codes that are not the dispatcher's own."""
_HTML: Final = b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"


class _Request(Protocol):
    """What tells the operation, besides the body."""

    @property
    def path(self) -> str: ...

    @property
    def headers(self) -> Mapping[str, str]: ...


class _Gone(Exception):
    """The connection is to be closed without an answer."""


class _NotTaken(Exception):
    """The request is refused before any operation sees it; its text is for the journal."""

    def __init__(self, reason: str, *, code: str = "", status: int = 500) -> None:
        super().__init__(reason)
        self.code = code
        self.status = status


class _Answer(Struct, frozen=True, kw_only=True):
    status: int
    body: bytes = b""
    kind: str = XML
    fault: str | None = None
    half: bool = False
    location: str = ""


def unnamed_fault(code: str, reason: str, *, namespace: str = _DISPATCHER) -> bytes:
    """A fault of WCF itself, without a named detail."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>'
        f'<faultcode xmlns:a="{namespace}">a:{code}</faultcode>'
        f'<faultstring xml:lang="en-US">{reason}</faultstring>'
        "</s:Fault></s:Body></s:Envelope>"
    ).encode()


class SoapDoor:
    """The services of the head end, all behind one handler."""

    def __init__(
        self,
        world: SimulatedWorld,
        codec: Codec,
        journal: SimulatorJournal,
        clock: Clock,
        deliverer: Deliverer,
    ) -> None:
        self._world = world
        self._codec = codec
        self._journal = journal
        self._clock = clock
        self._deliverer = deliverer
        self._strict = world.config.strict
        self._misfits: dict[str, Misfit] = {}
        self._complete: dict[str, Complete] = {}
        self._body_bytes = world.config.limits.body_bytes
        self._gate = Gate(world.config.access, body_bytes=self._body_bytes)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one POST to a service path."""
        body = await self._body(request)
        refusal = self._gate.refusal(request.headers, body)
        if refusal is not None:
            return self._not_let_in(request, body, refusal)
        try:
            message = self._read(request, body)
        except _NotTaken as refused:
            return self._not_taken(request, body, refused)
        return await self._conclude(request, *self._arrived(message, body))

    def at_once(self, request: _Request, body: bytes) -> bytes | None:
        """All bytes of the answer to a usual request; None for one that is to be handled, of which
        nothing is done: scripts may have it wait, and refusals are not usual."""
        usual = request.headers.get("Content-Type") == _USUAL and len(body) <= self._body_bytes
        if not usual or self._world.scripts or not self._gate.open:
            return None
        if (message := self._at_once(request, body)) is None:
            return None
        arrival, entry = self._arrived(message, body)
        answer = self._unscripted(arrival, entry)
        self._journal.answered(entry, status=answer.status, fault=answer.fault)
        return whole(answer.body, status=answer.status)

    def _arrived(self, message: DecodedMessage, body: bytes) -> tuple[Arrival, Entry]:
        operation = message.operation or ""
        arrival = self._world.arrive(operation, message.body)
        entry = self._journal.received(
            at=self._clock.now(),
            operation=operation,
            endpoints=arrival.endpoints,
            body=body,
            effects=arrival.hits,
            address=callback_address(operation, message.body),
        )
        return arrival, entry

    async def _body(self, request: web.BaseRequest) -> bytes:
        content = request.content
        if not content.is_eof():
            return await request.read()
        body = content.read_nowait()
        if len(body) > self._body_bytes:
            raise web.HTTPRequestEntityTooLarge(self._body_bytes)
        return body

    def _read(self, request: web.BaseRequest, body: bytes) -> DecodedMessage:
        """The message, judged as WCF does it: media type, envelope, action, members, values."""
        if self._strict and not _is_soap_11(request):
            given = request.headers.get("Content-Type", "none")
            raise _NotTaken(f"its content type is {given[:100]}", status=415)
        if (message := self._at_once(request, body)) is not None:
            return message
        try:
            opened = open_envelope(body, max_bytes=self._body_bytes)
            if self._strict and opened.soap is not Soap.V11:
                raise _NotTaken(f"its envelope is of SOAP {opened.soap}", code="VersionMismatch")
            operation, direction = self._codec.recognise(opened.content.tag)
            if direction is not Direction.REQUEST or not self._served_at(operation, request):
                raise _NotTaken("no such action here", code="ActionNotSupported")
            if self._strict and (found := self._misfit(operation)(opened.content)) is not None:
                raise _NotTaken(found, code="DeserializationFailed")
            return self._codec.decode_content(opened.content)
        except WireError as error:
            raise _NotTaken(str(error), code="DeserializationFailed") from error

    def _at_once(self, request: _Request, body: bytes) -> DecodedMessage | None:
        """A message in the usual form that is good in all; None: it takes the parser to tell."""
        message = self._codec.decode_at_once(body)
        if message is None or message.operation is None or message.soap is not Soap.V11:
            return None
        operation = message.operation
        if message.direction is not Direction.REQUEST or not self._served_at(operation, request):
            return None
        if (complete := self._complete.get(operation)) is None:
            of = self._codec.catalog.spec(operation).request
            complete = self._complete[operation] = completeness_of(of)
        return message if not self._strict or complete(message.body) else None

    def _misfit(self, operation: str) -> Misfit:
        if (known := self._misfits.get(operation)) is None:
            request = self._codec.catalog.spec(operation).request
            known = self._misfits[operation] = misfit_in(request)
        return known

    def _served_at(self, operation: str, request: _Request) -> bool:
        """WCF finds the operation by path and SOAPAction; the body must agree."""
        spec = self._codec.catalog.operations.get(operation)
        if spec is None or spec.path != request.path:
            return False
        action = request.headers.get("SOAPAction", "").strip().strip('"')
        return action == spec.soap_action or (action == "" and not self._strict)

    async def _conclude(
        self, request: web.BaseRequest, arrival: Arrival, entry: Entry
    ) -> web.StreamResponse:
        try:
            answer = await self._answer(arrival, entry)
        except _Gone:
            self._journal.answered(entry, status=None, fault=None)
            return _closed(request)
        self._journal.answered(entry, status=answer.status, fault=answer.fault)
        if answer.half:
            return await _half(request, answer)
        if answer.kind == XML and not answer.location:
            return response(request, answer.body, status=answer.status)
        return web.Response(
            status=answer.status,
            body=answer.body,
            content_type=answer.kind,
            charset="utf-8",
            headers={"Location": answer.location} if answer.location else None,
        )

    async def _answer(self, arrival: Arrival, entry: Entry) -> _Answer:
        if not arrival.hits:
            return self._unscripted(arrival, entry)
        if (early := await self._before(arrival.hits)) is not None:
            return early
        try:
            reply = self._acted(arrival, entry)
        except FaultRaised as fault:
            return self._fault(fault.name, fault.message, fault.fields)
        return await self._after(arrival, reply)

    def _unscripted(self, arrival: Arrival, entry: Entry) -> _Answer:
        try:
            reply = self._acted(arrival, entry)
        except FaultRaised as fault:
            return self._fault(fault.name, fault.message, fault.fields)
        self._deliverer.wake()
        return _Answer(status=200, body=self._codec.encode_response(arrival.operation, reply.body))

    def _acted(self, arrival: Arrival, entry: Entry) -> SimulatedReply:
        """Raises FaultRaised."""
        reply = self._world.act(arrival, now=self._clock.now())
        self._journal.took(
            entry, operation=arrival.operation, endpoints=arrival.endpoints, token=reply.token
        )
        return reply

    async def _before(self, hits: Mapping[Effect, Script]) -> _Answer | None:
        """What scripts do before anything acts; None goes on."""
        if (delay := hits.get(Effect.DELAY)) is not None:
            await self._pause(delay.seconds)
        if Effect.HANG in hits:
            await self._pause(None)
        if Effect.CLOSE_BEFORE in hits:
            raise _Gone
        if (script := hits.get(Effect.FAULT)) is not None:
            return self._fault(script.fault or "", script.text or "Scripted.", {})
        if Effect.INTERNAL_FAULT in hits:
            return _internal()
        if (script := hits.get(Effect.HTTP_STATUS)) is not None:
            return _elsewhere_or(script)
        if (script := hits.get(Effect.HTML_PAGE)) is not None:
            return _Answer(status=script.status or 502, body=_HTML, kind="text/html")
        return None

    async def _after(self, arrival: Arrival, reply: SimulatedReply) -> _Answer:
        """What scripts do once the request was carried out."""
        hits = arrival.hits
        if Effect.CALLBACK_FIRST in hits and reply.token is not None:
            self._deliverer.send(self._world.first_callback(reply.token, now=self._clock.now()))
            await self._deliverer.lane_sent(reply.token)
        self._deliverer.wake()
        if (delay := hits.get(Effect.DELAY_REPLY)) is not None:
            await self._pause(delay.seconds)
        if Effect.HANG_AFTER in hits:
            await self._pause(None)
        if Effect.LOSE_REPLY in hits:
            raise _Gone
        if Effect.ERROR_AFTER in hits:
            return _internal()
        if (script := hits.get(Effect.HTTP_STATUS_AFTER)) is not None:
            return _Answer(status=script.status or 500, kind="text/plain")
        if Effect.EMPTY_REPLY in hits:
            return _Answer(status=202)
        body = self._codec.encode_response(arrival.operation, self._token_scripted(arrival, reply))
        return _Answer(status=200, body=body, half=Effect.TRUNCATE_REPLY in hits)

    async def _pause(self, seconds: float | None) -> None:
        if not await self._deliverer.pause(seconds):
            raise _Gone

    def _token_scripted(self, arrival: Arrival, reply: SimulatedReply) -> dict[str, object]:
        """The reply with another token, or none, where a script wants that."""
        if arrival.operation not in WORK:
            return reply.body
        name = f"{arrival.operation.rpartition('.')[2]}Result"
        if Effect.WRONG_TOKEN in arrival.hits:
            return {name: {"Id": self._world.stranger()}}
        if Effect.REPEAT_TOKEN in arrival.hits:
            return {name: {"Id": self._world.previous_token(reply.token)}}
        if Effect.NO_TOKEN in arrival.hits:
            return {}
        return reply.body

    def _fault(self, name: str, message: str, fields: Mapping[str, object]) -> _Answer:
        told: dict[str, object] = {"Message": message, **fields}
        if name in _NEEDS:
            told = {**_NEEDS[name](self._world.config.seed, self._clock.now()), **told}
        return _Answer(status=500, body=self._fault_bytes(name, told, message), fault=name)

    def _fault_bytes(self, name: str, told: Mapping[str, object], message: str) -> bytes:
        try:
            return self._codec.encode_fault(name, told, reason=message)
        except ContractError:
            return unnamed_fault("InternalServiceFault", "The contract in use lacks this fault.")
        except WireError:  # a field repeats what the caller sent, and that does not fit its type
            return self._codec.encode_fault(name, {"Message": message}, reason=message)

    def _not_let_in(self, request: web.BaseRequest, body: bytes, reason: str) -> web.StreamResponse:
        basic = self._world.config.access.caller_security == "basic"
        status = 401 if basic else 500
        self._journal.refused(at=self._clock.now(), reason=reason, body=body, status=status)
        if basic:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="simulator"'})
        namespace = (
            "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
        )
        fault = unnamed_fault("FailedAuthentication", "Not let in.", namespace=namespace)
        return response(request, fault, status=500)

    def _not_taken(
        self, request: web.BaseRequest, body: bytes, refused: _NotTaken
    ) -> web.StreamResponse:
        status, reason = refused.status, str(refused)
        self._journal.refused(at=self._clock.now(), reason=reason, body=body, status=status)
        if status == 415:
            return web.Response(status=415, text=f"The content type must be {XML}; charset=utf-8.")
        fault = unnamed_fault(
            refused.code,
            "The message could not be processed.",
            namespace=_NAMESPACE_OF.get(refused.code, _DISPATCHER),
        )
        return response(request, fault, status=status)


def _is_soap_11(request: web.BaseRequest) -> bool:
    """By its content type: that of SOAP 1.2 is another."""
    if request.headers.get("Content-Type") == _USUAL:
        return True
    charset = (request.charset or _CHARSETS[0]).lower()
    return request.content_type.lower() == XML and charset in _CHARSETS


def _elsewhere_or(script: Script) -> _Answer:
    """Any HTTP status with the script's text as body; for a redirect it is the new place."""
    status = script.status or 500
    if 300 <= status < 400:
        return _Answer(status=status, kind="text/plain", location=script.text)
    return _Answer(status=status, body=script.text.encode(), kind="text/plain")


def _internal() -> _Answer:
    body = unnamed_fault("InternalServiceFault", "The server could not process the request.")
    return _Answer(status=500, body=body, fault="InternalServiceFault")


def _closed(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=499)


async def _half(request: web.BaseRequest, answer: _Answer) -> web.StreamResponse:
    """Headers for the whole body, then half of it, then the end of the connection."""
    response = web.StreamResponse(status=answer.status)
    response.content_type = answer.kind
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def _security(seed: int, now: datetime) -> dict[str, object]:
    return {"Id": guid(seed, "security", now.isoformat()), "OccurredWhen": wire_time(now)}


def _range(seed: int, now: datetime) -> dict[str, object]:
    return {"Start": wire_time(now), "End": wire_time(now)}


_NEEDS: Final = {"SecurityFault": _security, "InvalidDateTimeRangeFault": _range}
"""Fields that the contract requires of some faults, for those that a script raises."""
