"""Who is calling: HTTP Basic of the head end, bearer tokens of the utility. In constant time."""

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from adapter.errors import NotFound
from adapter.model.names import alike
from adapter.server.settings import ApiKey, BasicUser, Role

_LONGEST: Final = 4096


def basic_header_of(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


class BasicUsers:
    """All names and passwords that are live now; every one of them is compared, whatever comes."""

    def __init__(self, users: Sequence[BasicUser]) -> None:
        self.use(users)

    def use(self, users: Sequence[BasicUser]) -> None:
        """Put these in force in place of those before."""
        self._digests = [_digest(f"{item.user}:{item.password}".encode()) for item in users]

    def know(self, header: str | None) -> bool:
        """Whether an Authorization header's value is one of theirs; True where there are none."""
        if not self._digests:
            return True
        given = _digest(_basic(header))
        return any([hmac.compare_digest(given, wanted) for wanted in self._digests])  # noqa: C419


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls, and what he may do. `key` is the id of the key that he showed; empty where an
    issuer of tokens vouches for him."""

    name: str
    roles: frozenset[Role]
    expires_at: datetime | None = None
    key: str = ""


class CallerEnded(Exception):
    """The key was withdrawn, or expired, while its request was under way."""


class ApiKeys:
    """The keys of the JSON interface that are in force, and who uses them."""

    def __init__(self, keys: Sequence[ApiKey] = ()) -> None:
        self._keys: dict[str, ApiKey] = {}
        self._callers: dict[str, Caller] = {}
        self._used: dict[str, datetime] = {}
        self._under_way: defaultdict[Caller, set[asyncio.Timeout]] = defaultdict(set)
        self.use(keys)

    def use(self, keys: Sequence[ApiKey]) -> Sequence[ApiKey]:
        """Put these in force in place of those before; the new ones among them. What is under way
        in the name of one that is withdrawn or changed ends with CallerEnded."""
        before, now = self._keys, {key.id: key for key in keys}
        for key in before.values():
            if now.get(key.id) != key:
                self._used.pop(key.id, None)
                self._end(self._callers[key.id])
        self._keys = now
        self._callers = {
            key.id: self._callers[key.id]
            if before.get(key.id) == key
            else Caller(name=key.name, roles=key.roles, expires_at=key.expires_at, key=key.id)
            for key in keys
        }
        return [key for key in keys if key.id not in before]

    def _end(self, caller: Caller) -> None:
        now_s = asyncio.get_running_loop().time() if caller in self._under_way else 0.0
        for each in self._under_way.pop(caller, ()):
            if not each.expired():
                each.reschedule(now_s)

    def all(self) -> Sequence[ApiKey]:
        return tuple(self._keys.values())

    def called(self, key: str) -> Sequence[ApiKey]:
        """The one of this id, or else all of this name. Raises NotFound."""
        known = self.all()
        found = [each for each in known if each.id == key] or [
            each for each in known if each.name == key
        ]
        if not found:
            raise NotFound(f"no key {key[:40]}")
        return found

    def last_used(self, key: ApiKey) -> datetime | None:
        """None where it was not, since the process was started."""
        return self._used.get(key.id)

    def names(self, name: str) -> bool:
        """Whether a key has this name, or one that looks like it."""
        return any(alike(key.name, name) for key in self._keys.values())

    def of_token(self, token: str, *, now: datetime) -> Caller | None:
        """The holder of a token, unless its key has expired. Every key is compared."""
        digest = hashlib.sha256(token[:_LONGEST].encode("utf-8", "surrogateescape")).hexdigest()
        for key in [k for k in self.all() if hmac.compare_digest(k.token_sha256, digest)]:
            if key.expires_at is None or now < key.expires_at:
                self._used[key.id] = now
                return self._callers[key.id]
        return None

    def in_force(self, caller: Caller, *, now: datetime) -> bool:
        """Whether his key is still the one that he showed. Of a token of an issuer there is only
        its end to look at."""
        if caller.expires_at is not None and now >= caller.expires_at:
            return False
        if not caller.key:
            return True
        if self._callers.get(caller.key) is not caller:
            return False
        self._used[caller.key] = now
        return True

    @asynccontextmanager
    async def while_good(self, caller: Caller, *, now: datetime) -> AsyncIterator[None]:
        """What is done within ends with CallerEnded when the caller's key does."""
        left = None if caller.expires_at is None else (caller.expires_at - now).total_seconds()
        under_way = self._under_way[caller]
        try:
            async with asyncio.timeout(left) as timeout:
                under_way.add(timeout)
                yield
        except TimeoutError:
            if timeout.expired():
                raise CallerEnded from None
            raise
        finally:
            under_way.discard(timeout)
            if not under_way and self._under_way.get(caller) is under_way:
                self._under_way.pop(caller, None)


def bearer_of(header: str | None) -> str:
    """The token of an Authorization header; empty where there is none."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _basic(header: str | None) -> bytes:
    scheme, _, coded = (header or "").partition(" ")
    if scheme.lower() != "basic" or len(coded) > _LONGEST:
        return b""
    try:
        return base64.b64decode(coded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
