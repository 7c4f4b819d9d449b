"""The first look at a message from outside: which operation it calls, or why it is not taken.

Small messages go through the one hardened parser. Of large ones only the head is looked at while
they come in, and the rest is held against the rules of well-formed XML in flat memory; what is in
it is read later, from the stored bytes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from xml.parsers import expat

from lxml import etree

from adapter.errors import ContractViolation, NotWellFormed, WireError
from adapter.wire.catalog import HOSTED_HERE
from adapter.wire.codec import Codec, Direction
from adapter.wire.notifications import STATUS_CHANGED
from adapter.wire.xml import ENVELOPE_NS, MAX_BYTES, Soap, parse

ADDRESSING_NONE: Final = "http://schemas.microsoft.com/ws/2005/05/addressing/none"
"""WCF's own header blocks, written with mustUnderstand; they say where and what, nothing more."""

_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedCall:
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


def examine(
    codec: Codec, body: bytes, action: str | None, *, max_bytes: int = MAX_BYTES
) -> HostedCall | Unacceptable:
    """Judge a whole message. `action` is the SOAPAction header's value, or None. Never raises."""
    try:
        root = parse(body, max_bytes=max_bytes)
    except NotWellFormed as error:
        return _not_xml(error)
    version = _version(root.tag)
    if version is None:
        return _not_an_envelope(root.tag)
    name = f"{{{ENVELOPE_NS[version]}}}"
    bodies = [child for child in root if child.tag == f"{name}Body"]
    if len(bodies) != 1 or len(bodies[0]) != 1:
        return _no_content(version)
    blocks = [block for child in root if child.tag == f"{name}Header" for block in child]
    for block in blocks:
        refusal = _judge_block(block.tag, _attributes(block), version)
        if refusal is not None:
            return refusal
    return judge_call(codec, str(bodies[0][0].tag), version, [action, *_actions(blocks)])


def judge_call(
    codec: Codec, tag: str, soap: Soap, actions: Iterable[str | None]
) -> HostedCall | Unacceptable:
    """Which operation the element `tag` calls, where no action names another one.

    Only the action of StatusChanged is known, and of that the last part is compared. Those of the
    subscriber services are inferred: body and address decide, and a foreign action is only noted.
    """
    foreign = ""
    try:
        key, direction = codec.recognise(etree.Element(tag))
    except (WireError, ValueError):
        return _not_ours(soap, f"{tag[:200]} begins no message of the contract")
    if key not in HOSTED_HERE or direction is not Direction.REQUEST:
        return _not_ours(soap, f"{tag[:200]} is not an operation of this listener")
    for action in actions:
        given = (action or "").strip().strip('"')
        if not given or given.rpartition("/")[2] == HOSTED_HERE[key]:
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


class LargeMessage:
    """Judges a message in pieces: feed it, then finish it. Raises nothing."""

    def __init__(self, codec: Codec, action: str | None) -> None:
        self._codec = codec
        self._action = action
        self._parser: expat.XMLParserType | None = None
        self._path: list[str] = []
        self._soap: Soap | None = None
        self._content: str | None = None
        self._refusal: Unacceptable | None = None

    def feed(self, piece: bytes) -> Unacceptable | None:
        """Take the next bytes. A refusal is final."""
        if self._refusal is None and piece:
            self._parse(piece, last=False)
        return self._refusal

    def finish(self) -> HostedCall | Unacceptable:
        """There are no more bytes."""
        if self._refusal is None:
            self._parse(b"", last=True)
        if self._refusal is not None:
            return self._refusal
        if self._content is None or self._soap is None:
            return _no_content(self._soap)
        return judge_call(self._codec, self._content, self._soap, [self._action])

    def _parse(self, piece: bytes, *, last: bool) -> None:
        try:
            if self._parser is None:
                self._parser = self._made_for(piece)
            self._parser.Parse(piece, last)
        except (expat.ExpatError, NotWellFormed) as error:
            self._refusal = _not_xml(error)
        except _Enough:
            pass

    def _made_for(self, piece: bytes) -> expat.XMLParserType:
        encoding = "utf-16" if piece.startswith(_UTF16_MARKS) else "utf-8"
        parser = expat.ParserCreate(encoding, "}")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.XmlDeclHandler = self._declared
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        return parser

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        tag = f"{{{name}" if "}" in name else name
        if not self._path:
            self._soap = _version(tag)
            if self._soap is None:
                self._refuse(_not_an_envelope(tag))
        elif self._soap is not None and len(self._path) == 2:
            inside = self._path[1].rpartition("}")[2]
            named = {_clark(key): value for key, value in attributes.items()}
            if inside == "Header":
                refusal = _judge_block(tag, named, self._soap)
                if refusal is not None:
                    self._refuse(refusal)
            elif self._path[1] == f"{{{ENVELOPE_NS[self._soap]}}}Body":
                self._content = tag
                judged = judge_call(self._codec, tag, self._soap, [self._action])
                if isinstance(judged, Unacceptable):
                    self._refuse(judged)
                # From here on nothing is looked at; expat alone checks that it is well-formed.
                if self._parser is not None:
                    self._parser.StartElementHandler = None
                    self._parser.EndElementHandler = None
        self._path.append(tag)

    def _end(self, name: str) -> None:
        self._path.pop()

    def _declared(self, version: str, encoding: str | None, standalone: int) -> None:
        if version != "1.0":
            raise NotWellFormed("not XML 1.0")
        if (encoding or "utf-8").lower() not in ("utf-8", "utf-16"):
            raise NotWellFormed(f"encoding {(encoding or '')[:20]} is not accepted")

    def _doctype(self, *given: object) -> None:
        raise NotWellFormed("a document type declaration is never accepted")

    def _instruction(self, *given: object) -> None:
        raise NotWellFormed("a processing instruction is never accepted")

    def _refuse(self, refusal: Unacceptable) -> None:
        self._refusal = refusal
        raise _Enough


class _Enough(Exception):
    """Nothing more needs to be parsed."""


def _clark(name: str) -> str:
    return f"{{{name}" if "}" in name else name


def _attributes(block: etree._Element) -> dict[str, str]:
    """The parser has bounded their number."""
    return {str(name): str(value) for name, value in block.attrib.items()}


def _version(tag: str) -> Soap | None:
    return next((soap for soap, ns in ENVELOPE_NS.items() if tag == f"{{{ns}}}Envelope"), None)


def _actions(blocks: Iterable[etree._Element]) -> list[str]:
    return [block.text or "" for block in blocks if block.tag == f"{{{ADDRESSING_NONE}}}Action"]


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
