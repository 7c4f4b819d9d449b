"""StatusChanged by templates: nearly all of such a message is the same each time.

A template is what the codec writes of a body with marks for what varies: one for each state and
result, which are words that the contract in use must have.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from adapter.simulator.bodies import Body, part
from adapter.simulator.work import STATUS_CHANGED
from adapter.wire.codec import Codec

_MARKS: Final[Mapping[str, object]] = MappingProxyType(
    {
        "RequestToken": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee",
        "EndpointsScheduled": 31_981,
        "SuccessfulEndpoints": 31_982,
        "FailedEndpoints": 31_983,
        "CreatedWhen": "1977-01-01T01:01:01Z",
        "FinishedWhen": "1977-02-02T02:02:02Z",
    }
)
"""Values that stand in no message elsewhere."""


class StatusMessages:
    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._templates: dict[tuple[object, ...], str] = {}

    def write(self, body: Body) -> bytes:
        """The envelope for a `status_body`. Raises as the codec does."""
        status = part(body, "input", "RequestStatus")
        key = (status["State"], status["Result"], len(status))
        template = self._templates.get(key)
        if template is None:
            template = self._templates[key] = self._template(status)
        return (template % {**status, "RequestToken": part(status, "RequestToken")["Id"]}).encode()

    def _template(self, status: Body) -> str:
        marked = {name: _MARKS.get(name, value) for name, value in status.items()}
        marked["RequestToken"] = {"Id": _MARKS["RequestToken"]}
        body = {"input": {"RequestStatus": marked}}
        text = self._codec.encode_request(STATUS_CHANGED, body).decode().replace("%", "%%")
        for name, mark in _MARKS.items():
            text = text.replace(str(mark), f"%({name})s")
        return text
