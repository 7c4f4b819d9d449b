"""Which addresses a name may lead to, looked at when the connection is made.

A name that is resolved for a check and again for the connection may give two answers (DNS
rebinding). So the resolver that the connection uses is the one that checks: nothing else is ever
connected to. An address in the place of a name is checked before.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
"""IPv4 behind NAT64 (RFC 6052)."""


class AddressRefused(OSError):
    """A name or an address leads to where callbacks may not go."""


class PublicResolver(AbstractResolver):
    """Gives public addresses alone. Raises AddressRefused where a name has another one as well."""

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        self._inner = inner or aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for each in found:
            check_public(each["host"])
        return found

    async def close(self) -> None:
        await self._inner.close()


def check_public(host: str) -> None:
    """Raises AddressRefused for an address that is not public; a name is the resolver's."""
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return
    if not is_public(address):
        raise AddressRefused(f"{address} is not a public address")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Of an address that carries an IPv4 one in it, both."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        teredo = address.teredo
        if inner is None and teredo is not None:
            inner = teredo[1]
        if inner is None and address in _TRANSLATED:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast
