"""The first look at a message from outside: which operation it calls, or why it is not taken.

Of any size they are judged alike: against the rules of XML and its bounds (see `bounded`), and
against those of a SOAP envelope: at most one Header, then one Body with one element, and no text
beside them. Long ones are judged while they come in and in flat memory, and what is in that element
is read later, from the stored bytes. A short one is judged in one go, and a StatusChanged is read
by that already.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lxml import etree
from msgspec import Struct

from adapter.errors import ContractViolation, NotWellFormed, WireError
from adapter.wire.bounded import BoundedReader
from adapter.wire.catalog import HOSTED_HERE
from adapter.wire.codec import Codec, DecodedMessage, Direction
from adapter.wire.notifications import STATUS_CHANGED
from adapter.wire.xml import ENVELOPE_NS, Soap, opened, plain_root, tree_of

ADDRESSING_NONE: Final = "http://schemas.microsoft.com/ws/2005/05/addressing/none"
"""WCF's own header blocks, written with mustUnderstand; they say where and what, nothing more."""

_CONTENT: Final = 3
"""How deep header blocks and the content stand."""

_SECTIONS: Final = (["Header"], ["Header", "Body"], ["Body"])
_BLANKS: Final = " \t\r\n"
_TRUE: Final = ("1", "true")
_ROLES_OF_ALL: Final = {
    Soap.V11: ("", "http://schemas.xmlsoap.org/soap/actor/next"),
    Soap.V12: (
        "",
        "http://www.w3.org/2003/05/soap-envelope/role/next",
        "http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver",
    ),
}


class FaultCode(StrEnum):
    """SOAP 1.1's words; 1.2 calls the first two Sender and Receiver."""

    CLIENT = "Client"
    SERVER = "Server"
    MUST_UNDERSTAND = "MustUnderstand"
    VERSION_MISMATCH = "VersionMismatch"


class HostedCall(Struct, frozen=True, kw_only=True, gc=False):
    """A message that calls an operation hosted here."""

    operation: str
    soap: Soap
    foreign_action: str = ""
    """The action of an inferred operation, where it is not the one that is inferred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unacceptable:
    """A message that is not taken. `text` may be told to the caller, `reason` is for our people."""

    code: FaultCode
    text: str
    reason: str
    soap: Soap | None = None
    operation: str = ""


def judge_call(
    codec: Codec, tag: str, soap: Soap, actions: Iterable[str | None]
) -> HostedCall | Unacceptable:
    """Which operation the element `tag` calls, where no action names another one.

    Only the action of StatusChanged is known: it is the contract's, or its last part is the name.
    Those of the subscriber services are inferred: body and address decide, and a foreign action is
    only noted.
    """
    foreign = ""
    try:
        key, direction = codec.recognise(tag)
    except WireError:
        return _not_ours(soap, f"{tag[:200]} begins no message of the contract")
    if key not in HOSTED_HERE or direction is not Direction.REQUEST:
        return _not_ours(soap, f"{tag[:200]} is not an operation of this listener")
    described = codec.catalog.spec(key).soap_action
    for action in actions:
        given = (action or "").strip().strip('"')
        if given in ("", described) or given.rpartition("/")[2] == HOSTED_HERE[key]:
            continue
        foreign = foreign or given[:200]
        if key == STATUS_CHANGED:
            return Unacceptable(
                code=FaultCode.CLIENT,
                text="The action does not name the operation in the body.",
                reason=f"SOAPAction: {given[:200]!r} does not name {HOSTED_HERE[key]}",
                soap=soap,
                operation=key,
            )
    return HostedCall(operation=key, soap=soap, foreign_action=foreign)


class MessageJudge:
    """Judges one message: the whole of it in one go, or in pieces, which are fed before it is
    finished. Raises nothing. `known`: its caller has shown that it is the head end."""

    def __init__(self, codec: Codec, action: str | None, *, known: bool = False) -> None:
        self._codec = codec
        self._action = action
        self._known = known
        self._envelope = _Envelope(codec, action)
        self._reader: BoundedReader | None = None
        self._refusal: Unacceptable | None = None
        self.message: DecodedMessage | None = None
        """What a StatusChanged says that was judged in one go, if it could be read."""

    def whole(self, data: bytes) -> HostedCall | Unacceptable:
        """The verdict on a short message."""
        message = self._codec.decode_at_once(data, known=self._known)
        if message is None or message.soap is None:
            return self._parsed(data)
        judged = judge_call(self._codec, message.tag, message.soap, [self._action])
        if isinstance(judged, HostedCall) and judged.operation == STATUS_CHANGED:
            self.message = message
        return judged

    def feed(self, piece: bytes) -> Unacceptable | None:
        """Take the next bytes. A refusal is final."""
        self._judge(lambda: self._in_pieces().feed(piece))
        return self._refusal

    def finish(self) -> HostedCall | Unacceptable:
        """There are no more bytes."""
        self._judge(lambda: self._in_pieces().finish())
        return self._verdict()

    def _parsed(self, data: bytes) -> HostedCall | Unacceptable:
        root, text = plain_root(data, known=self._known), b""
        if root is None:
            text = self._judge(lambda: self._in_pieces().feed(data) + self._in_pieces().finish())
        else:
            self._judge(lambda: _tell(self._envelope, root))
        judged = self._verdict()
        if isinstance(judged, HostedCall) and judged.operation == STATUS_CHANGED:
            with suppress(WireError):
                tree = tree_of(text, known=self._known) if root is None else root
                self.message = self._codec.decode_content(opened(tree).content)
        return judged

    def _in_pieces(self) -> BoundedReader:
        if self._reader is None:
            self._reader = BoundedReader(watcher=self._envelope, watched=_CONTENT)
        return self._reader

    def _verdict(self) -> HostedCall | Unacceptable:
        return self._refusal or self._envelope.call or _no_content(self._envelope.soap)

    def _judge(self, read: Callable[[], bytes]) -> bytes:
        """What is read, or nothing where the message is refused."""
        try:
            return b"" if self._refusal is not None else read()
        except NotWellFormed as error:
            self._refusal = _not_xml(error)
        except _Enough as enough:
            self._refusal = enough.refusal
        return b""


class _Envelope:
    """Follows a message down to its header blocks and its content, and no deeper. What it hears is
    an element's beginning, its text or its end; it raises _Enough where the message is refused."""

    def __init__(self, codec: Codec, action: str | None) -> None:
        self.soap: Soap | None = None
        self.call: HostedCall | None = None
        self._codec = codec
        self._actions = [action]
        self._depth = 0
        self._sections: list[str] = []
        self._action: list[str] | None = None

    @property
    def heard_enough(self) -> bool:
        return self.call is not None and self._depth == _CONTENT

    def start(self, name: str, attributes: Mapping[str, str], depth: int) -> None:
        self._depth = depth
        if depth == 1:
            self.soap = _version(name)
            if self.soap is None:
                raise _Enough(_not_an_envelope(name))
            return
        assert self.soap is not None
        if depth == 2:
            self._sections.append(name.removeprefix(f"{{{ENVELOPE_NS[self.soap]}}}"))
            if self._sections not in _SECTIONS:
                raise _Enough(_no_content(self.soap))
        elif self._sections[-1] == "Header":
            self._begin_block(name, attributes, self.soap)
        else:
            self._begin_content(name, self.soap)

    def text(self, text: str) -> None:
        if self._action is not None:
            self._action.append(text)
        elif self._depth < _CONTENT and text.strip(_BLANKS):
            raise _Enough(_no_content(self.soap))

    def end(self, depth: int) -> None:
        self._depth = depth - 1
        if self._action is not None and depth == _CONTENT:
            self._actions.append("".join(self._action))
            self._action = None

    def _begin_block(self, tag: str, attributes: Mapping[str, str], soap: Soap) -> None:
        refusal = _judge_block(tag, attributes, soap)
        if refusal is not None:
            raise _Enough(refusal)
        if tag == f"{{{ADDRESSING_NONE}}}Action":
            self._action = []

    def _begin_content(self, tag: str, soap: Soap) -> None:
        if self.call is not None:
            raise _Enough(_no_content(soap))
        judged = judge_call(self._codec, tag, soap, self._actions)
        if isinstance(judged, Unacceptable):
            raise _Enough(judged)
        self.call = judged


def _tell(envelope: _Envelope, element: etree._Element, depth: int = 1) -> bytes:
    """Let it hear of what was parsed just what a reader of pieces tells it. Gives nothing."""
    attributes = {str(key): str(value) for key, value in element.attrib.items()}
    envelope.start(element.tag, attributes, depth)
    if element.text:
        envelope.text(element.text)
    if not envelope.heard_enough:
        for child in element:
            if depth < _CONTENT:
                _tell(envelope, child, depth + 1)
            if child.tail:
                envelope.text(child.tail)
    envelope.end(depth)
    return b""


class _Enough(Exception):
    """Nothing more needs to be read."""

    def __init__(self, refusal: Unacceptable) -> None:
        self.refusal = refusal


def _version(tag: str) -> Soap | None:
    return next((soap for soap, ns in ENVELOPE_NS.items() if tag == f"{{{ns}}}Envelope"), None)


def _judge_block(tag: str, attributes: Mapping[str, str], soap: Soap) -> Unacceptable | None:
    """Refuse a header block that must be understood, is meant for us, and is not WCF's own."""
    ns = ENVELOPE_NS[soap]
    if attributes.get(f"{{{ns}}}mustUnderstand", "").strip() not in _TRUE:
        return None
    role = attributes.get(f"{{{ns}}}{'actor' if soap is Soap.V11 else 'role'}", "").strip()
    if role not in _ROLES_OF_ALL[soap] or tag.startswith(f"{{{ADDRESSING_NONE}}}"):
        return None
    return Unacceptable(
        code=FaultCode.MUST_UNDERSTAND,
        text="A header block that must be understood is not.",
        reason=f"header {tag[:200]} must be understood",
        soap=soap,
    )


def _not_xml(error: Exception) -> Unacceptable:
    return Unacceptable(
        code=FaultCode.CLIENT,
        text="The message is not XML of an accepted form.",
        reason=f"not well-formed: {str(error)[:300]}",
    )


def _not_an_envelope(tag: str) -> Unacceptable:
    foreign = tag.rpartition("}")[2] == "Envelope"
    return Unacceptable(
        code=FaultCode.VERSION_MISMATCH if foreign else FaultCode.CLIENT,
        text="The message is no SOAP 1.1 or 1.2 envelope.",
        reason=f"not a SOAP envelope but {tag[:200]}",
    )


def _no_content(soap: Soap | None) -> Unacceptable:
    return Unacceptable(
        code=FaultCode.CLIENT,
        text="The message needs one Body with one element.",
        reason=str(ContractViolation("needs exactly one Body with exactly one element")),
        soap=soap,
    )


def _not_ours(soap: Soap, reason: str) -> Unacceptable:
    return Unacceptable(
        code=FaultCode.CLIENT,
        text="The message calls no operation of this service.",
        reason=reason,
        soap=soap,
    )
