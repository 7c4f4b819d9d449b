"""What the doctor asks of a running gateway's REST API."""

from collections.abc import Mapping
from typing import Protocol


class RestApi(Protocol):
    """Below /api/v1. Raises GatewayError for a refusal, and where nobody answers."""

    def get(self, path: str) -> object: ...

    def post(self, path: str, body: Mapping[str, object] | None = None) -> object: ...

    def beside_the_api(self, path: str) -> tuple[int, str]:
        """The status and the text of what is not below /api/v1."""


def object_of(answer: object) -> dict[str, object]:
    return answer if isinstance(answer, dict) else {}


def rows_of(answer: object, name: str = "items") -> list[dict[str, object]]:
    rows = object_of(answer).get(name)
    return [each for each in rows if isinstance(each, dict)] if isinstance(rows, list) else []
