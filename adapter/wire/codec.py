"""Messages of the contract to bytes and back.

The JSON form of a message, which `openway wire` prints and reads:

- `operation` is `{Service}.{Operation}`, `direction` is request, response or fault;
- `body` holds the content of the wrapper element under exactly the contract's element names,
  nested: {"request": {"MeterRequest": {"ElectronicSerialNumber": "...", ...}}};
- a type whose only member repeats is a list of its items:
  {"ElectronicSerialNumbers": ["...", "..."]};
- xs:boolean and integers are JSON's; decimals, floats, dateTimes, GUIDs, words of enumerations and
  addresses are the text that stood on the wire, so that nothing is lost on the way back;
- xs:anyType is {"type": "xs:decimal", "value": "123"}; "type" is absent where the message had none;
- xsi:nil is null, an absent element an absent key; `Metadata` and elements that the contract does
  not have are passed over;
- a fault is {"fault": "MeterNotFoundFault", "faultcode": "Client", "reason": "...", "detail":
  {...}} with the fault's own fields in `detail`; "fault" is "" where the detail is none of the
  contract's faults, and its operation is null.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Final, TypeAlias

import msgspec
from lxml import etree

from adapter.errors import ContractError, ContractViolation
from adapter.model.values import replace
from adapter.wire.catalog import Catalog
from adapter.wire.faults import code_of, detail_of, is_fault, read_fault, reason_of, soap_fault
from adapter.wire.forms import FormTexts, MessageForms
from adapter.wire.reader import Read, content_reader, tags_of
from adapter.wire.scalars import JsonValue
from adapter.wire.shapes import Field, Struct
from adapter.wire.writer import Write, message_writer
from adapter.wire.xml import ENVELOPE_NS, MAX_BYTES, Soap, open_envelope

__all__ = ["Codec", "DecodedMessage", "Direction", "JsonValue", "ReadMessage", "packaged_codec"]

_HEAD: Final = {
    soap: f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{ns}">'
    for soap, ns in ENVELOPE_NS.items()
}
_TAIL: Final = "</s:Body></s:Envelope>"


class Direction(StrEnum):
    REQUEST = "request"
    RESPONSE = "response"
    FAULT = "fault"


class DecodedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What one envelope says, in the element `tag`. `operation` is None for faults: they do not
    name theirs. `soap` is the version of the envelope, where that was read too."""

    tag: str
    operation: str | None
    direction: Direction
    body: dict[str, JsonValue]
    soap: Soap | None = None

    @property
    def name(self) -> str:
        """That of the element."""
        return self.tag.rpartition("}")[2]


ReadMessage: TypeAlias = DecodedMessage | FormTexts


@cache
def packaged_codec() -> "Codec":
    """That of the packaged contract; nothing changes it, so that a process needs one."""
    return Codec(Catalog.load())


class Codec:
    """Writers and readers of every operation and fault in a catalog, compiled when it is made."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._requests: dict[str, Write] = {}
        self._responses: dict[str, Write] = {}
        self._readers: dict[str, tuple[str, Direction, Read]] = {}
        messages: dict[str, Field] = {}
        for spec in catalog.operations.values():
            self._requests[spec.key] = message_writer(_with_parameter(spec.request))
            self._responses[spec.key] = message_writer(spec.response)
            self._add_reader(spec.request.tag, spec.key, Direction.REQUEST, spec.request)
            self._add_reader(spec.response.tag, spec.key, Direction.RESPONSE, spec.response)
            messages |= {each.tag: each for each in (spec.request, spec.response)} | messages
        self._forms = MessageForms(messages)
        # Only after all own names are known may a message also be read under a related namespace.
        for spec in catalog.operations.values():
            for tag in tags_of(spec.request)[1:]:
                self._add_reader(tag, spec.key, Direction.REQUEST, spec.request)
            for tag in tags_of(spec.response)[1:]:
                self._add_reader(tag, spec.key, Direction.RESPONSE, spec.response)
        self._faults = {
            name: (message_writer(field), content_reader(field.content))
            for name, field in catalog.faults.items()
        }

    def encode_request(
        self, key: str, body: Mapping[str, object], *, header: bytes = b"", soap: Soap = Soap.V11
    ) -> bytes:
        """The envelope of a request. `header` is a ready SOAP header block, or several.

        Raises ContractViolation naming the place in `body` that does not fit the contract.
        """
        content = self._writer(self._requests, key)(body)
        block = f"<s:Header>{header.decode()}</s:Header>" if header else ""
        return f"{_HEAD[soap]}{block}<s:Body>{content}{_TAIL}".encode()

    def encode_response(
        self, key: str, body: Mapping[str, object], *, soap: Soap = Soap.V11
    ) -> bytes:
        """The envelope of an answer, as the head end, or we to a callback, give it."""
        content = self._writer(self._responses, key)(body)
        return f"{_HEAD[soap]}<s:Body>{content}{_TAIL}".encode()

    def encode_fault(
        self, name: str, fields: Mapping[str, object], *, reason: str, soap: Soap = Soap.V11
    ) -> bytes:
        """The envelope of one of the contract's faults."""
        try:
            write, _ = self._faults[name]
        except KeyError:
            raise ContractError(f"{self.catalog.place} has no fault {name}") from None
        return soap_fault("Client", reason, soap=soap, detail=write(fields))

    def decode(
        self, data: bytes, *, max_bytes: int = MAX_BYTES, known: bool = True
    ) -> DecodedMessage:
        """Read a message of any direction. `known` is as for `decode_at_once`.

        Raises NotWellFormed, or ContractViolation for an element that begins no message of the
        contract or a value that cannot be what it should be.
        """
        at_once = self.decode_at_once(data, known=known) if len(data) <= max_bytes else None
        return at_once or self.decode_content(
            open_envelope(data, max_bytes=max_bytes, known=known).content
        )

    def decode_at_once(self, data: bytes, *, known: bool = True) -> DecodedMessage | None:
        """A whole message in the form that serializers give it, without parsing; None: any other,
        and every fault. `known`: not from a stranger, who leaves few forms and names behind."""
        texts = self._forms.texts(data, known=known)
        try:
            return None if texts is None else self.decode_texts(texts)
        except ValueError:
            return None

    def texts_at_once(self, data: bytes) -> FormTexts | None:
        """As `decode_at_once`, of the head end's; it may be that a text is no value."""
        return self._forms.texts(data)

    def decode_texts(self, texts: FormTexts) -> DecodedMessage:
        """Raises ValueError where one of them is no value."""
        body = texts.content()
        key, direction, _ = self._readers[texts.form.tag]
        return DecodedMessage(
            tag=texts.form.tag,
            operation=key,
            direction=direction,
            body=body if isinstance(body, dict) else {},
            soap=texts.form.soap,
        )

    def decode_content(self, content: etree._Element) -> DecodedMessage:
        """As `decode`, from the element inside the SOAP body."""
        if is_fault(content):
            return DecodedMessage(
                tag=content.tag,
                operation=None,
                direction=Direction.FAULT,
                body=self._fault(content),
            )
        key, direction, read = self._reader(content.tag)
        body = read(content)
        return DecodedMessage(
            tag=content.tag,
            operation=key,
            direction=direction,
            body=body if isinstance(body, dict) else {},
        )

    def recognise(self, tag: str) -> tuple[str, Direction]:
        """Which message an element of this name begins. Raises ContractViolation."""
        key, direction, _ = self._reader(tag)
        return key, direction

    def reads(self, content: etree._Element) -> bool:
        """Whether `content` begins a message of the contract, or is a fault."""
        return is_fault(content) or content.tag in self._readers

    def _reader(self, tag: str) -> tuple[str, Direction, Read]:
        try:
            return self._readers[tag]
        except KeyError:
            raise ContractViolation(
                f"{tag[:200]} begins no message of the contract", at=tag.rpartition("}")[2]
            ) from None

    def _add_reader(self, tag: str, key: str, direction: Direction, field: Field) -> None:
        self._readers.setdefault(tag, (key, direction, content_reader(field.content)))

    def _writer(self, writers: Mapping[str, Write], key: str) -> Write:
        if key not in writers:
            self.catalog.spec(key)
        return writers[key]

    def _fault(self, content: etree._Element) -> dict[str, JsonValue]:
        name, detail = read_fault(content).name, detail_of(content)
        body: dict[str, JsonValue] = {
            "fault": name,
            "faultcode": code_of(content),
            "reason": reason_of(content),
        }
        if name in self._faults and detail is not None:
            body["detail"] = self._faults[name][1](detail)
        return body


def _with_parameter(field: Field) -> Field:
    """A request whose parameter is required: .NET marks it optional, but never means it."""
    if not isinstance(field.content, Struct):
        return field
    parameters = tuple(replace(parameter, required=True) for parameter in field.content.fields)
    return replace(field, content=Struct(parameters))
