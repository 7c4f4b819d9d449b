"""How a play of a recording went."""

from dataclasses import dataclass

from adapter.errors import GatewayError


class Diverged(GatewayError):
    """The gateway did something else than was recorded. The text says where and what."""

    code = "diverged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """How a play went. `difference` is "" where nothing differed.

    `decision` is the first step that was decided otherwise, where that is known; `unused` are files
    that lie with the recording and are no part of it.
    `transcript` is everything that was said and decided, in one text: the same recording gives the
    same, byte for byte.
    """

    name: str
    difference: str
    commands: int
    messages: int
    virtual_s: float
    real_s: float
    transcript: bytes
    decision: str = ""
    unused: tuple[str, ...] = ()
