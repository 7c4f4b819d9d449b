"""One call of the REST API: over HTTP, repeated where that can do no harm, read into its type."""

import ssl
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_delay,
    stop_never,
    wait_random_exponential,
)

from adapter.client.errors import ApiProblem, TryLater, Unreachable, problem_of
from adapter.web.api.call import PREFIX

T = TypeVar("T")
Query = Mapping[str, object]

_JSON: Final = "application/json"
_backing_off: Final = wait_random_exponential(multiplier=0.1, max=10.0)
_object_of: Final = msgspec.json.Decoder(dict[str, object]).decode


class Calls:
    """`patience_s` is for how long a call is repeated. Raises ApiProblem and Unreachable."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        second_key: str | None,
        ca_file: Path | None,
        timeout_s: float,
        patience_s: float,
    ) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}", "User-Agent": "openway-client"}
        if second_key is not None:
            self._headers["X-Second-Key"] = second_key
        self._ca_file = ca_file
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        trust = True if self._ca_file is None else ssl.create_default_context(cafile=self._ca_file)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(
        self, kind: type[T], path: str, query: Query | None = None, *, for_ever: bool = False
    ) -> T:
        """`path` is below /api/v1; what is None in the query is left out. `wait` in it is how long
        the API was asked to take, beyond the usual time-out."""
        given = {name: _text(value) for name, value in (query or {}).items() if value is not None}
        wait_s = float(given.get("wait", 0))
        raw = await self._repeated(
            "GET", path, given, None, _JSON, wait_s, repeatable=True, for_ever=for_ever
        )
        return self._read(kind, raw)

    async def post(
        self,
        kind: type[T],
        path: str,
        body: object = None,
        *,
        repeatable: bool = False,
        media: str = _JSON,
    ) -> T:
        """`repeatable`: a second one that follows a lost answer is answered as the first was. Bytes
        are sent as they are."""
        sent = body if isinstance(body, bytes) else msgspec.json.encode(body or {})
        raw = await self._repeated("POST", path, {}, sent, media, 0.0, repeatable=repeatable)
        return self._read(kind, raw)

    async def _repeated(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes | None,
        media: str,
        wait_s: float,
        *,
        repeatable: bool,
        for_ever: bool = False,
    ) -> bytes:
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: _harmless(error, repeatable=repeatable)),
            wait=_pause,
            stop=stop_never if for_ever else stop_after_delay(self._patience_s),
            reraise=True,
        )
        return await retrying(self._once, method, path, query, body, media, wait_s)

    async def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes | None,
        media: str,
        wait_s: float,
    ) -> bytes:
        if self._session is None:
            raise RuntimeError("a client is used inside `async with`")
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self._timeout_s, sock_read=self._timeout_s + wait_s
        )
        headers = {} if body is None else {"Content-Type": media}
        try:
            async with self._session.request(
                method,
                f"{self._url}{PREFIX}{path}",
                params=query,
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                raw = await response.read()
                if response.status >= 300:
                    raise _refusal(response, raw)
                return raw
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(f"{self._url}: {error}", sent=False) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = f"{error}" or type(error).__name__
            raise Unreachable(f"{self._url}: {reason}") from error

    def _read(self, kind: type[T], raw: bytes) -> T:
        try:
            return msgspec.json.decode(raw, type=kind)
        except msgspec.DecodeError as error:
            raise Unreachable(f"{self._url}: what answers there is not this API: {error}") from None


def segment(text: str) -> str:
    """An id as one segment of a path."""
    return quote(text, safe="")


def _harmless(error: BaseException, *, repeatable: bool) -> bool:
    """Whether the same request may be sent again. That nothing was accepted is believed of the
    gateway alone: something between may say so of a request that it has passed on."""
    if isinstance(error, Unreachable):
        return repeatable or not error.sent
    return isinstance(error, TryLater) and (repeatable or not error.code.startswith("http_"))


def _pause(state: RetryCallState) -> float:
    """Longer each time, with jitter, and not less than the API wants."""
    error = state.outcome.exception() if state.outcome is not None else None
    least = error.after_s if isinstance(error, ApiProblem) else 0.0
    return max(_backing_off(state), least)


def _refusal(response: aiohttp.ClientResponse, raw: bytes) -> ApiProblem:
    try:
        body = _object_of(raw)
    except msgspec.DecodeError:
        body = {}
    return problem_of(response.status, body, response.headers)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
