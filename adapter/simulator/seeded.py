"""Numbers that look random and are a function of a seed and a name, without any state."""

from hashlib import blake2b
from struct import unpack

_WHOLE = float(1 << 64)


def number(seed: int, *names: object) -> int:
    """64 bits that depend on `seed` and `names` alone."""
    text = "\x1f".join(map(str, (seed, *names)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def fraction(seed: int, *names: object) -> float:
    """A number in [0, 1)."""
    return number(seed, *names) / _WHOLE


def fractions(seed: int, name: str) -> tuple[float, ...]:
    """Eight independent numbers in [0, 1) at the price of one."""
    drawn = blake2b(f"{seed}\x1f{name}".encode(), digest_size=64).digest()
    return tuple([value / _WHOLE for value in unpack("<8Q", drawn)])


def guid(seed: int, *names: object) -> str:
    """A GUID of version 4 in the form the wire wants: lower case, 8-4-4-4-12."""
    text = "\x1f".join(map(str, (seed, *names)))
    drawn = blake2b(text.encode(), digest_size=16).hexdigest()
    variant = "89ab"[int(drawn[16], 16) % 4]
    return f"{drawn[:8]}-{drawn[8:12]}-4{drawn[13:16]}-{variant}{drawn[17:20]}-{drawn[20:]}"
