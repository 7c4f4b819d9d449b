"""Secrets among the settings: what counts as one, and the forms they have in files and variables.

A file holds one secret, or one entry a line; lines that start with `#` are skipped. A variable has
`;` between entries.
"""

from datetime import datetime
from typing import Final

from adapter.errors import SettingsError
from adapter.headend.secret import Secret
from adapter.server.settings import ApiKey, BasicUser, Role
from adapter.service.settings_values import Wrong

_KINDS: Final = (Secret, tuple[Secret, ...], tuple[BasicUser, ...], tuple[ApiKey, ...])
_DIGEST: Final = "sha256:"


def is_secret(kind: object, name: str) -> bool:
    return kind in _KINDS or name.endswith("password")


def secrets_of(kind: object, given: Secret, separator: str) -> object:
    """What a setting of this kind holds, from the text given for it. Raises Wrong."""
    if kind is Secret:
        return given
    if kind is str:
        return given.reveal()
    lines = [line.strip() for line in given.reveal().split(separator)]
    lines = [line for line in lines if line and not line.startswith("#")]
    if kind == tuple[BasicUser, ...]:
        return tuple(_user(line) for line in lines)
    if kind == tuple[ApiKey, ...]:
        return tuple(_key(line) for line in lines)
    return tuple(Secret(line) for line in lines)


def _user(line: str) -> BasicUser:
    user, colon, password = line.partition(":")
    if not colon or not user.strip() or not password.strip():
        raise Wrong("must be lines of user:password")
    return BasicUser(user=user.strip(), password=password.strip())


def _key(line: str) -> ApiKey:
    """`name role,role token [expiry]`; instead of the token `sha256:` and its digest."""
    name, roles, token, *expiry = [*line.split(), "", ""][: max(len(line.split()), 3)]
    if not token or len(expiry) > 1:
        raise Wrong("must be lines of: name role,role token [expiry]")
    known = [role.value for role in Role]
    wanted = roles.split(",")
    if any(role not in known for role in wanted):
        # What stands there may be the token, by a slip: it is not repeated.
        raise Wrong(f"{name}: the second word must be roles, of {', '.join(known)}")
    try:
        expires_at = datetime.fromisoformat(expiry[0]) if expiry else None
    except ValueError:
        raise Wrong(f"{name}: the expiry must be a date and time with a zone") from None
    held = [Role(role) for role in wanted]
    try:
        if not token.startswith(_DIGEST):
            return ApiKey.of(name, token, *held, expires_at=expires_at)
        digest = token.removeprefix(_DIGEST)
        return ApiKey(name=name, token_sha256=digest, roles=frozenset(held), expires_at=expires_at)
    except SettingsError as error:
        raise Wrong(str(error)) from None
