"""One table of a site's orders file, read by type: what is wrong is named with its place."""

from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import TypeVar

from adapter.errors import SettingsError


def as_mapping(where: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise SettingsError(f"{where}: must be a table")
    return value


Choice = TypeVar("Choice", bound=StrEnum)


class Table:
    """Reads one table's values by type, naming the place of whatever is wrong."""

    def __init__(self, where: str, raw: Mapping[str, object]) -> None:
        self.where = where
        self.raw = raw

    def fail(self, key: str, rule: str) -> SettingsError:
        return SettingsError(f"{self.where}, {key}: {rule}")

    def only(self, *keys: str) -> None:
        unknown = sorted(set(self.raw) - set(keys))
        if unknown:
            raise self.fail(unknown[0], "unknown setting")

    def text(self, key: str, default: str) -> str:
        value = self.raw.get(key, default)
        if not isinstance(value, str):
            raise self.fail(key, "must be text")
        return value

    def function(self, key: str) -> str:
        name = self.text(key, "")
        package, colon, function = name.partition(":")
        if name and not (package and colon and function.isidentifier()):
            raise self.fail(key, "must be package.module:function")
        return name

    def flag(self, key: str, default: bool) -> bool:
        value = self.raw.get(key, default)
        if not isinstance(value, bool):
            raise self.fail(key, "must be true or false")
        return value

    def whole(self, key: str, default: int, *, least: int = 0) -> int:
        value = self.raw.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 10_000:
            raise self.fail(key, f"must be a whole number from {least} to 10000")
        return value

    def choice(self, key: str, kinds: type[Choice], default: Choice) -> Choice:
        value = self.text(key, default.value)
        known = next((each for each in kinds if each.value == value), None)
        if known is None:
            raise self.fail(key, f"{value} is not one of {', '.join(kinds)}")
        return known

    def day(self, key: str) -> date:
        value = self.raw.get(key)
        if isinstance(value, date):
            return date(value.year, value.month, value.day)
        try:
            return date.fromisoformat(self.text(key, ""))
        except ValueError:
            raise self.fail(key, "must be a date") from None

    def table(self, key: str) -> Mapping[str, object]:
        return as_mapping(f"{self.where}.{key}", self.raw.get(key, {}))

    def items(self, key: str) -> Sequence[object]:
        value = self.raw.get(key, ())
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise self.fail(key, "must be a list")
        return value

    def lines(self, key: str) -> tuple[str, ...]:
        found = self.items(key)
        if not all(isinstance(each, str) for each in found):
            raise self.fail(key, "must be a list of texts")
        return tuple(str(each) for each in found)
