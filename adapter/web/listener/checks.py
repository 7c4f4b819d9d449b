"""Whether a request to the listener may be taken, by its head and by its body: pure judgement."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Final

from aiohttp import web

from adapter.server.bodies import Body, unclear_head
from adapter.wire.inbound import FaultCode, HostedCall, Unacceptable
from adapter.wire.notifications import DATA_ARRIVED, EVENTS_ARRIVED
from adapter.wire.xml import Soap

SOAP_OF: Final = {"text/xml": Soap.V11, "application/soap+xml": Soap.V12}
MEDIA_OF: Final = {soap: media for media, soap in SOAP_OF.items()}
_ALSO: Final = frozenset({(DATA_ARRIVED, EVENTS_ARRIVED)})
"""(address, operation): the address that data was subscribed for gets events as well."""

_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """`text` goes to the caller, `reason` to quarantine. `known`: the credentials were right.
    `counted`: one row stands for all of an address. `question`: the caller is asked for what is
    missing, and nothing is kept."""

    status: int
    text: str
    reason: str
    code: FaultCode = FaultCode.CLIENT
    soap: Soap | None = None
    operation: str = ""
    known: bool = True
    counted: bool = False
    question: bool = False
    headers: Mapping[str, str] | None = None


def judge_headers(request: web.BaseRequest, key: str, limit: int) -> Refusal | None:
    """What the head of a request already tells of its body."""

    def refused(status: int, text: str, found: str) -> Refusal:
        return Refusal(status=status, text=text, reason=f"{text} ({found[:100]})", operation=key)

    unclear = unclear_head(request)
    if unclear is not None:
        return refused(unclear.status, unclear.text, "the head of the request")
    length = request.content_length
    if length is None and "Transfer-Encoding" not in request.headers:
        return refused(411, "A length is needed.", "none given")
    if length is not None and length > limit:
        return refused(413, "The message is too large.", f"{length} bytes declared")
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("identity", ""):
        return refused(415, "No Content-Encoding is accepted.", coding)
    expect = request.headers.get("Expect", "100-continue").lower()
    if expect != "100-continue":
        return refused(417, "This expectation cannot be met.", expect)
    media = request.content_type if "Content-Type" in request.headers else "none"
    if media not in SOAP_OF:
        return refused(415, "The media type must be text/xml or application/soap+xml.", media)
    charset = (request.charset or "utf-8").lower()
    if charset not in ("utf-8", "utf8", "utf-16"):
        return refused(415, "The charset must be utf-8.", charset)
    return None


def judge_body(
    request: web.BaseRequest, key: str, body: Body, judged: HostedCall | Unacceptable
) -> Refusal | None:
    """What the body tells, once it is read and looked at; None: it may be taken."""
    if body.status:
        return Refusal(status=body.status, text=body.text, reason=body.text, operation=key)
    if (request.charset or "").lower() == "utf-16" and not body.raw.startswith(_UTF16_MARKS):
        text = "UTF-16 needs a byte order mark."
        return Refusal(status=415, text=text, reason=text, operation=key)
    if isinstance(judged, HostedCall):
        if judged.operation == key or (key, judged.operation) in _ALSO:
            return None
        judged = Unacceptable(
            code=FaultCode.CLIENT,
            text="The message calls no operation of this service.",
            reason=f"{judged.operation} does not belong to this address",
            soap=judged.soap,
            operation=judged.operation,
        )
    soap = judged.soap or SOAP_OF.get(request.content_type, Soap.V11)
    callers = judged.code is FaultCode.CLIENT and soap is Soap.V12
    return Refusal(
        status=400 if callers else 500,
        text=judged.text,
        reason=judged.reason,
        code=judged.code,
        soap=judged.soap,
        operation=judged.operation or key,
    )


def action_of(request: web.BaseRequest) -> str | None:
    """SOAPAction of 1.1, or the action parameter of 1.2's media type."""
    given = request.headers.get("SOAPAction")
    if given is None and request.content_type == MEDIA_OF[Soap.V12]:
        header = Message()
        header["Content-Type"] = request.headers["Content-Type"]
        found = header.get_param("action")
        return found if isinstance(found, str) else None
    return given
