"""Message bodies at random, for very many of them: what `bodies` makes by hypothesis, without what
makes a failure small, which takes ten times as long as the comparison."""

from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import Final
from uuid import UUID

from adapter.wire.scalars import JsonValue
from adapter.wire.shapes import AnyValue, Content, Field, ListOf, Scalar, Skipped, Struct

_RANGES: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "int": (-(2**31), 2**31 - 1),
        "long": (-(2**63), 2**63 - 1),
        "unsignedShort": (0, 2**16 - 1),
        "unsignedLong": (0, 2**64 - 1),
    }
)
_LETTERS: Final = ((0x20, 0x7E), (0xA0, 0xD7FF), (0xE000, 0xFFFD), (0x10000, 0x10FFFD))
_TELLING: Final = "\t\n\r<>&\"' é€😀\u00a0\u2028]]>&amp;"


class RandomBodies:
    """Bodies that the contract allows, one after the other."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._full = 1.0
        """The share of what may be left out that is there."""
        self.values = 0
        """How many have been made."""
        self._any: tuple[tuple[str, Callable[[], JsonValue]], ...] = (
            ("xs:string", self._text),
            ("xs:decimal", self._decimal),
            ("xs:dateTime", self._time),
            ("xs:boolean", lambda: random.choice(("true", "false"))),
            ("xs:int", lambda: str(self._whole("int"))),
            ("xs:double", self._float),
        )
        self._kinds: Mapping[str, Callable[[], JsonValue]] = {
            "boolean": self._perhaps,
            "dateTime": self._time,
            "decimal": self._decimal,
            "float": self._float,
            "string": self._text,
            "anyURI": self._text,
        }

    def body(self, field: Field) -> dict[str, JsonValue]:
        """What is inside a wrapper element, its parameters present."""
        assert isinstance(field.content, Struct)
        self._full = self._random.choice((0.5, 0.8, 1.0))
        return {parameter.name: self._element(parameter) for parameter in field.content.fields}

    def _perhaps(self, share: float = 0.5) -> bool:
        return self._random.random() < share

    def _element(self, field: Field) -> JsonValue:
        return None if field.nillable and self._perhaps(0.1) else self._content(field.content)

    def _content(self, content: Content) -> JsonValue:
        if isinstance(content, Struct):
            sent = [each for each in content.fields if not isinstance(each.content, Skipped)]
            chosen = [each for each in sent if each.required or self._perhaps(self._full)]
            return {each.name: self._element(each) for each in chosen}
        if isinstance(content, ListOf):
            # A nil group inside a list zeep cannot write, see `bodies`.
            group = isinstance(content.item.content, Struct)
            several = range(self._random.randrange(4))
            if group:
                return [self._content(content.item.content) for _ in several]
            return [self._element(content.item) for _ in several]
        self.values += 1
        if isinstance(content, AnyValue):
            kind, make = self._random.choice(self._any)
            return {"type": kind, "value": make()}
        assert isinstance(content, Scalar)
        return self._scalar(content)

    def _scalar(self, scalar: Scalar) -> JsonValue:
        if scalar.facets.words:
            return self._random.choice(scalar.facets.words)
        if scalar.facets.pattern is not None:
            return str(UUID(int=self._random.getrandbits(128)))
        if scalar.kind in _RANGES:
            return self._whole(scalar.kind)
        return self._kinds[scalar.kind]()

    def _whole(self, kind: str) -> int:
        """As often at an end as anywhere."""
        least, most = _RANGES[kind]
        ends = (least, least + 1, 0, 1, most - 1, most)
        return self._random.choice(ends) if self._perhaps() else self._random.randint(least, most)

    def _digits(self, most: int) -> str:
        return "".join(self._random.choices("0123456789", k=self._random.randint(1, most)))

    def _decimal(self) -> str:
        sign = "-" if self._perhaps() else ""
        behind = f".{self._digits(9)}" if self._perhaps() else ""
        return f"{sign}{self._digits(18)}{behind}"

    def _float(self) -> str:
        if self._perhaps(0.05):
            return "INF"
        sign, minus = ("-" if self._perhaps() else "" for _ in range(2))
        behind = f".{self._digits(7)}" if self._perhaps() else ""
        power = f"E{minus}{self._digits(2)}" if self._perhaps() else ""
        return f"{sign}{self._digits(7)}{behind}{power}"

    def _time(self) -> str:
        number = self._random.randint
        day = f"20{number(0, 99):02}-{number(1, 12):02}-{number(1, 28):02}"
        behind = f".{self._digits(7)}" if self._perhaps() else ""
        zone = f"{self._random.choice('+-')}{number(0, 13):02}:{number(0, 59):02}"
        ends = self._random.choice(("", "Z", zone))
        return f"{day}T{number(0, 23):02}:{number(0, 59):02}:{number(0, 59):02}{behind}{ends}"

    def _text(self) -> str:
        return "".join(self._letter() for _ in range(self._random.randrange(9)))

    def _letter(self) -> str:
        if self._perhaps(0.6):
            return self._random.choice(_TELLING)
        return chr(self._random.randint(*self._random.choice(_LETTERS)))
