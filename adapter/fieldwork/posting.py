"""Signed posts to somebody else's system, as Standard Webhooks has it: taken, refused, or again."""

import ssl
from collections.abc import Sequence
from typing import Final

import aiohttp

from adapter.engine.commands.ports import Clock
from adapter.errors import GatewayError
from adapter.fieldwork.settings import PostSettings
from adapter.model.secret import Secret
from adapter.webhooks.signing import keys_of, signed

JSON: Final = "application/json"
_LATER: Final = frozenset({408, 425, 429})
"""Answers of the 4xx kind that say "not now" (RFC 9110, 8470, 6585)."""


class NotTaken(GatewayError):
    """The other system did not take what was posted, or did not say so: it is posted again."""

    code = "not_taken"


class PostRefused(GatewayError):
    """The other system will never take what was posted."""

    code = "post_refused"


class SignedPost:
    """Posts bodies, each with its fixed id, over one pool of connections."""

    def __init__(self, settings: PostSettings, clock: Clock) -> None:
        """Raises SettingsError for keys that are none."""
        self._settings = settings
        self._clock = clock
        self._keys = keys_of(settings.keys)
        self._session: aiohttp.ClientSession | None = None

    def use(self, keys: Sequence[Secret]) -> None:
        """Sign with these from the next post on. Raises SettingsError for keys that are none."""
        self._keys = keys_of(keys)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, id_: str, body: bytes) -> None:
        """2xx is taken. Raises PostRefused for a lasting 4xx, NotTaken for everything else."""
        headers = {
            "Content-Type": JSON,
            **signed(webhook_id(id_), body, self._keys, now=self._clock.now()),
        }
        try:
            async with self._client().post(
                self._settings.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotTaken(f"{type(error).__name__}: {error}") from error
        if 200 <= status < 300:
            return
        if 400 <= status < 500 and status not in _LATER:
            raise PostRefused(f"was answered {status}")
        raise NotTaken(f"was answered {status}")

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            settings = self._settings
            context: ssl.SSLContext | bool = True
            if settings.ca_file is not None:
                context = ssl.create_default_context(cafile=settings.ca_file)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context, limit=16),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=settings.connect_s, sock_read=settings.reply_s
                ),
                trust_env=False,
            )
        return self._session


def webhook_id(id_: str) -> str:
    """An id in a form that may be signed: without dots, the same for the same message or reply."""
    return id_.replace(".", "_").replace("/", ":")
