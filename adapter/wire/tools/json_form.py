"""What an integration engineer does at a desk: `openway wire` and `openway wsdl check`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from adapter.commands.flows import CommandKind
from adapter.errors import InvalidRequest
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec, Direction, JsonValue
from adapter.wire.gate import (
    Finding,
    SubscriptionFinding,
    check_contract,
    check_hosted,
    check_subscriptions,
    lacking,
    lacking_subscriptions,
)
from adapter.wire.tools.vendor_operations import note_on, undescribed_message
from adapter.wire.xml import open_envelope

MAX_DESK_BYTES = 64 * 1024 * 1024


def decode_to_json(data: bytes, *, contract: Path | None = None) -> dict[str, JsonValue]:
    """A message as {"operation", "direction", "body"}; see `codec` for the form of the body.

    An operation that the head end is known to have and the contract does not describe is shown
    without its types. Raises WireError for bytes that are no message of either kind.
    """
    codec = _codec(contract)
    content = open_envelope(data, max_bytes=MAX_DESK_BYTES).content
    plain = None if codec.reads(content) else undescribed_message(content)
    if plain is not None:
        return plain
    message = codec.decode_content(content)
    return {
        "operation": message.operation,
        "direction": message.direction.value,
        "body": message.body,
    }


def usage_note(operation: str, *, contract: Path | None = None) -> str:
    """That no command uses `operation`, in words; "" where something does."""
    return note_on(operation, _codec(contract).catalog)


def encode_from_json(
    operation: str, message: Mapping[str, object], *, contract: Path | None = None
) -> bytes:
    """The envelope for what `decode_to_json` gives, or for the bare body of a request.

    `operation` is a key (`ControlService.DisconnectMeter`), or the operation's name alone where
    only one service has it; for faults it does not matter. Raises InvalidRequest for a name that is
    unknown or not unique, ContractViolation for a body that does not fit the contract.
    """
    codec = _codec(contract)
    bare = "direction" not in message
    direction = Direction.REQUEST if bare else _direction(message["direction"])
    body = message if bare else message.get("body")
    if not isinstance(body, Mapping):
        raise InvalidRequest("body", "needs the fields of the message")
    if direction is Direction.FAULT:
        return _encode_fault(codec, body)
    key = operation_key(codec.catalog, operation)
    if direction is Direction.RESPONSE:
        return codec.encode_response(key, body)
    return codec.encode_request(key, body)


def operation_key(catalog: Catalog, name: str) -> str:
    """The key that `name` stands for. Raises InvalidRequest."""
    if name in catalog.operations:
        return name
    keys = [key for key, spec in catalog.operations.items() if spec.name == name]
    if len(keys) != 1:
        rule = f"is in several services: {', '.join(keys)}" if keys else "is not in the contract"
        raise InvalidRequest("operation", f"{name} {rule}")
    return keys[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractReport:
    """What a WSDL file, or a folder of them, can carry.

    Of one file `findings` and `subscriptions` are of its own services alone; `lacks` has in
    addition what it takes for each command, and each way to subscribe, that is not in it: what
    other files or the packaged ones have does not count. `hosted` is what stops our own listener.
    """

    whole: bool
    findings: tuple[Finding, ...]
    subscriptions: tuple[SubscriptionFinding, ...]
    lacks: Mapping[CommandKind, tuple[Finding, ...]]
    ways: Mapping[str, tuple[SubscriptionFinding, ...]]
    hosted: Mapping[str, str]
    remarks: tuple[str, ...]

    @property
    def good(self) -> bool:
        return not any(self.lacks.values()) and not self.hosted


def report(place: Path | None) -> ContractReport:
    """None is the packaged contract. Raises ContractError for what cannot be read."""
    catalog = Catalog.load(place)
    whole = place is None or place.is_dir()
    services = catalog.services if whole or place is None else catalog.services_of(place)
    judged = () if whole else services or ("",)
    return ContractReport(
        whole=whole,
        findings=check_contract(catalog, services=judged),
        subscriptions=check_subscriptions(catalog, services=judged),
        lacks=lacking(catalog, services=services),
        ways=lacking_subscriptions(catalog, services=services),
        hosted=check_hosted(catalog) if whole else {},
        remarks=catalog.remarks,
    )


def check(place: Path) -> list[Finding]:
    """What in a WSDL file, or a folder of them, breaks which command; [] where nothing does.

    One file is judged by its own services alone. Raises ContractError for what cannot be read.
    """
    return list(report(place).findings)


def check_subscribing(place: Path) -> list[dict[str, str]]:
    """What breaks which way to subscribe, as plain values; [] where nothing does."""
    return [asdict(finding) for finding in report(place).subscriptions]


def check_as_json(place: Path) -> list[dict[str, str]]:
    """The findings of `check` as plain values."""
    return [asdict(finding) for finding in check(place)]


@lru_cache(maxsize=4)
def _codec(contract: Path | None) -> Codec:
    return Codec(Catalog.load(contract))


def _direction(value: object) -> Direction:
    try:
        return Direction(str(value))
    except ValueError:
        raise InvalidRequest("direction", "is none of request, response, fault") from None


def _encode_fault(codec: Codec, body: Mapping[str, object]) -> bytes:
    name, detail = str(body.get("fault", "")), body.get("detail", {})
    if name not in codec.catalog.faults or not isinstance(detail, Mapping):
        raise InvalidRequest("body.fault", f"{name!r} is none of the contract's faults")
    return codec.encode_fault(name, detail, reason=str(body.get("reason", "")))
