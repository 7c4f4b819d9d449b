"""Subscription calls and answers on the wire. SubscriptionService's contract is provisional."""

from typing import Final

from adapter.errors import ContractViolation, Refused
from adapter.subscriptions.reconcile import Held, SubscriptionCall, SubscriptionOperation
from adapter.wire.codec import Codec, Direction, JsonValue
from adapter.wire.faults import is_fault, read_fault
from adapter.wire.scalars import groups, text
from adapter.wire.xml import local_name, open_envelope

HELD_HAS: Final = ("SystemName", "UriCollection")
"""What is read of each subscription that is held."""

_O = SubscriptionOperation
_MAX_BYTES = 4 * 1024 * 1024


def encode_subscription(codec: Codec, call: SubscriptionCall, *, header: bytes = b"") -> bytes:
    """The envelope of a call. Raises ContractViolation, ContractError where the WSDL lacks it."""
    return codec.encode_request(call.operation, subscription_body(call), header=header)


def read_subscription(
    codec: Codec, operation: SubscriptionOperation, data: bytes
) -> tuple[Held, ...]:
    """What is subscribed, for LIST; nothing for the others.

    Raises Refused for a fault, WireError for what is no answer to the operation.
    """
    content = open_envelope(data, max_bytes=_MAX_BYTES).content
    if is_fault(content):
        raise Refused(read_fault(content))
    message = codec.decode_content(content)
    if message.operation != operation or message.direction is not Direction.RESPONSE:
        raise ContractViolation(f"is no answer to {operation}", at=local_name(content))
    if operation is not _O.LIST:
        return ()
    return tuple(
        Held(
            system=text(row, "SystemName") or "",
            addresses=_words(row.get("UriCollection")),
            kind=text(row, "Kind") or "",
        )
        for row in groups(message.body, "RetrieveSubscriptionsBySystemNameResult")
    )


def subscription_body(call: SubscriptionCall) -> dict[str, JsonValue]:
    """The body of a request as JSON has it."""
    if call.operation in (_O.OLD_SUBSCRIBE_DATA, _O.OLD_CANCEL_DATA):
        (address,) = call.addresses
        return {"request": {"SubscriberRequest": {"SystemName": call.system, "Uri": address}}}
    if call.operation in (_O.LIST, _O.CANCEL_DATA, _O.CANCEL_EXCEPTIONS):
        return {"request": {"SystemName": call.system}}
    request: dict[str, JsonValue] = {
        "SubscriptionRequest": {
            "SystemName": call.system,
            "UriCollection": list(call.addresses),
        }
    }
    if call.operation is _O.SUBSCRIBE_EXCEPTIONS:
        groups_named: JsonValue = list(call.groups)
        request["GroupConstraints"] = {"FilteredGroupNames": groups_named} if call.groups else {}
    return {"request": request}


def _words(value: JsonValue) -> tuple[str, ...]:
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()
