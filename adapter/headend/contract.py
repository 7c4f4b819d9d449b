"""The codec as the client sees it."""

from datetime import UTC, tzinfo

from adapter.commands.calls import Answer, Call
from adapter.commands.flows import Operation
from adapter.headend.client import Encoded
from adapter.wire.codec import Codec
from adapter.wire.operations import MAX_ANSWER_BYTES, encode_call, read_answer


class ContractWire:
    """`zone` is the head end's, for times that say none."""

    def __init__(
        self, codec: Codec, *, zone: tzinfo = UTC, max_bytes: int = MAX_ANSWER_BYTES
    ) -> None:
        self._codec = codec
        self._zone = zone
        self._max_bytes = max_bytes

    def encode(self, call: Call, *, header: bytes) -> Encoded:
        spec = self._codec.catalog.spec(call.operation)
        return Encoded(
            body=encode_call(self._codec, call, header=header),
            soap_action=spec.soap_action,
            path=spec.path,
        )

    def read(self, operation: Operation, data: bytes) -> Answer:
        return read_answer(self._codec, operation, data, max_bytes=self._max_bytes, zone=self._zone)
