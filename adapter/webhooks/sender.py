"""Posts events to one receiver: CloudEvents, signed as Standard Webhooks has it."""

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver

from adapter.engine.commands.ports import Clock
from adapter.engine.feed.deliveries import read_event
from adapter.engine.feed.ports import PostResult
from adapter.model.secret import Secret
from adapter.webhooks.envelope import SOURCE, envelope
from adapter.webhooks.guard import PublicResolver, check_public
from adapter.webhooks.settings import CallbackReceiverSettings, ReceiverSettings
from adapter.webhooks.signing import keys_of, signed

_LONGEST_WISH_S: Final = 3_600.0
"""No receiver is left alone for longer, whatever its Retry-After says."""

_MOST_READ: Final = 64 * 1024
"""Bytes of an answer that are read, so that its connection can be used again."""


class WebhookReceiver:
    """Fits the engine's Receiver port. Of a callback receiver each event goes to the address that
    its command or order named."""

    def __init__(
        self,
        settings: ReceiverSettings | CallbackReceiverSettings,
        clock: Clock,
        *,
        source: str = SOURCE,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """Raises SettingsError for keys that are none."""
        self.name = settings.name
        self.wanted = settings.wanted
        self.at_once = settings.at_once
        self.rate_per_s = settings.rate_per_s
        self._settings = settings
        self._keys = keys_of(settings.keys)
        self._clock = clock
        self._source = source
        self._resolver = resolver
        self._guarded = isinstance(settings, CallbackReceiverSettings) and not settings.private
        self._session: aiohttp.ClientSession | None = None

    def use(self, keys: Sequence[Secret]) -> None:
        """Sign with these from the next post on. Raises SettingsError for keys that are none."""
        self._keys = keys_of(keys)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, event: bytes) -> PostResult:
        """2xx is taken. A redirect is not followed: it is not taken."""
        made = envelope(event, self._settings.form, self._source)
        signatures = signed(made.id, made.body, self._keys, now=self._clock.now())
        try:
            url = self._address(event)
            async with self._client().post(
                url, data=made.body, headers={**made.headers, **signatures}, allow_redirects=False
            ) as response:
                if response.content_length != 0:
                    await response.content.read(_MOST_READ)
                return _result(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return PostResult(error=f"{type(error).__name__}: {error}"[:300])

    def _address(self, event: bytes) -> str:
        """Raises AddressRefused."""
        if not self.wanted.callback:
            return self._settings.url
        url = read_event(event).data.callback_url or self._settings.url
        if self._guarded:
            check_public(urlsplit(url).hostname or "")
        return url

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            settings = self._settings
            resolver = self._resolver
            if self._guarded:
                resolver = PublicResolver(resolver)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=_trust(settings.ca_file), limit=settings.at_once, resolver=resolver
                ),
                timeout=aiohttp.ClientTimeout(
                    total=settings.connect_s + 2 * settings.reply_s,
                    sock_connect=settings.connect_s,
                    sock_read=settings.reply_s,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session


def _trust(ca_file: Path | None) -> ssl.SSLContext | bool:
    return True if ca_file is None else ssl.create_default_context(cafile=ca_file)


def _result(response: aiohttp.ClientResponse) -> PostResult:
    status = response.status
    if 200 <= status < 300:
        return PostResult(status=status)
    wish = response.headers.get("Retry-After", "")
    least_s = float(wish) if wish.isascii() and wish.isdigit() and len(wish) < 9 else 0.0
    return PostResult(
        status=status,
        error=f"was answered {status}",
        gone=status == 410,
        least_s=min(least_s, _LONGEST_WISH_S),
    )
