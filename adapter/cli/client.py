"""A small client of the REST API, for the command line: standard library, one request at a time."""

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from adapter.client.errors import Unreachable, problem_of
from adapter.errors import GatewayError, SettingsError
from adapter.model.secret import Secret
from adapter.settings.text_files import require_file

PREFIX: Final = "/api/v1"
_JSON: Final = "application/json"
_LONGEST_ANSWER: Final = 256 * 1024 * 1024

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class NoDocument(GatewayError):
    """No document came from another service than the API: not there, too slow, or too large."""

    code = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """`url` is the API's root, without /api/v1; `second_key` is another person's."""

    url: str
    key: Secret | None = None
    second_key: Secret | None = None
    ca_file: Path | None = None
    timeout_s: float = 30.0

    def get(
        self, path: str, query: Mapping[str, object] | None = None, *, wait_s: float = 0.0
    ) -> Json:
        """`path` is below /api/v1; None among `query` is left out. Raises ApiProblem, Unreachable.

        `wait_s` is how long the API was asked to take, beyond the usual time-out.
        """
        wanted = {name: _text(value) for name, value in (query or {}).items() if value is not None}
        target = f"{path}?{urlencode(wanted)}" if wanted else path
        return self._call("GET", target, None, wait_s)

    def post(
        self, path: str, body: Mapping[str, object] | None = None, *, wait_s: float = 0.0
    ) -> Json:
        return self._call("POST", path, json.dumps(body or {}, default=_text).encode(), wait_s)

    def send(self, path: str, raw: bytes, media: str) -> Json:
        """Of another type than JSON."""
        return self._call("POST", path, raw, 0.0, media)

    def beside_the_api(self, path: str) -> tuple[int, str]:
        """The status and the text of what is not below /api/v1. Raises Unreachable."""
        with self._asked("GET", path, None, self.timeout_s, prefix="") as answer:
            return answer.status, answer.read(_LONGEST_ANSWER).decode("utf-8", "replace")

    def lines(
        self, path: str, query: Mapping[str, object] | None = None
    ) -> Iterator[dict[str, Json] | list[Json]]:
        """An answer of JSON lines, each as it comes: what comes first, rows, `{"rows": n}` last.

        Raises ApiProblem, Unreachable: also where the answer ends before its last line.
        """
        wanted = {name: _text(value) for name, value in (query or {}).items() if value is not None}
        target = f"{path}?{urlencode(wanted)}" if wanted else path
        with self._asked("GET", target, None, self.timeout_s, _JSON) as answer:
            if answer.status >= 300:
                _answer(answer.status, answer.read(_LONGEST_ANSWER), self.url)
            ended = False
            while text := answer.readline():
                line = _line(text, self.url)
                ended = isinstance(line, dict) and "rows" in line
                yield line
            if not ended:
                raise Unreachable(f"{self.url}: the answer was cut off")

    def _trust(self) -> ssl.SSLContext:
        try:
            if self.ca_file is not None:
                require_file(self.ca_file, f"api.ca_file: {self.ca_file}")
            return ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise SettingsError(f"api.ca_file: {_reason(error)}") from error

    def _call(
        self, method: str, path: str, body: bytes | None, wait_s: float, media: str = _JSON
    ) -> Json:
        with self._asked(method, path, body, self.timeout_s + wait_s, media) as answer:
            return _answer(answer.status, answer.read(_LONGEST_ANSWER), self.url)

    @contextmanager
    def _asked(
        self,
        method: str,
        path: str,
        body: bytes | None,
        timeout: float,
        media: str = _JSON,
        *,
        prefix: str = PREFIX,
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer's head has come; its body is read inside, under the same errors."""
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = self._trust()
            connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=timeout)
        target = f"{parts.path.rstrip('/')}{prefix}{path}"
        try:
            connection.request(method, target, body, self._headers(body, media))
            yield connection.getresponse()
        except TimeoutError as error:
            raise Unreachable(f"{self.url}: no answer within {timeout:g} seconds") from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self.url}: {_reason(error)}") from error
        finally:
            connection.close()

    def _headers(self, body: bytes | None, media: str) -> dict[str, str]:
        headers = {"Accept": _JSON, "User-Agent": "openway"}
        if body is not None:
            headers["Content-Type"] = media
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key.reveal()}"
        if self.second_key is not None:
            headers["X-Second-Key"] = self.second_key.reveal()
        return headers


def segment(text: str) -> str:
    """An id as one segment of a path."""
    return quote(text, safe="")


def fields(answer: object) -> dict[str, Json]:
    """The object that the answer is, or that stands in it."""
    return answer if isinstance(answer, dict) else {}


def items(answer: object) -> list[dict[str, Json]]:
    """The objects of a page, or of a list."""
    members = fields(answer).get("items") if isinstance(answer, dict) else answer
    return [each for each in members if isinstance(each, dict)] if isinstance(members, list) else []


def _line(text: bytes, url: str) -> dict[str, Json] | list[Json]:
    try:
        line = json.loads(text)
    except ValueError as error:
        raise Unreachable(f"{url}: the answer was cut off") from error
    if not isinstance(line, dict | list):
        raise Unreachable(f"{url}: what answers there is not the API")
    return line


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.strerror or error}"
    return f"not an answer of the API ({type(error).__name__})"


def _answer(status: int, content: bytes, url: str) -> Json:
    try:
        body: Json = json.loads(content) if content else None
    except ValueError as error:
        if status < 300:
            raise Unreachable(f"{url}: what answers there is not the API") from error
        body = None
    if status < 300:
        return body
    raise problem_of(status, fields(body))
