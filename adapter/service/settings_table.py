"""The settings as a table: for README, for `openway tables`, and for `openway config show`."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import time
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, get_args, get_origin

from adapter.commands.usage_limits import CallQuota, SwitchCap, SwitchSpread
from adapter.model.secret import Secret
from adapter.model.values import replace
from adapter.service.settings import LoadedSettings, Settings
from adapter.settings.conversion import WEEKDAYS
from adapter.settings.loading import Leaf, leaves
from adapter.webhooks.settings import CallbackReceiverSettings, ReceiverSettings

_UNITS: Final = (
    ("_per_s", "per second"),
    ("_s", "seconds"),
    ("_bytes", "bytes"),
    ("_days", "days"),
    ("per_hour", "per hour"),
    ("per_day", "per day"),
    ("per_minute", "per minute"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """One line of the table; `variable` holds <KIND> or <OPERATION> where the name does."""

    name: str
    variable: str
    type: str
    range: str
    unit: str
    default: str
    help: str


def rows() -> tuple[SettingRow, ...]:
    """Every setting; those of a keyed section once, with the defaults that differ."""
    gathered: dict[str, list[tuple[str, Leaf]]] = {}
    for leaf in leaves(Settings):
        key, name = _keyless(leaf.name)
        gathered.setdefault(name, []).append((key, leaf))
    return tuple(_row(name, found) for name, found in gathered.items())


def receiver_rows() -> tuple[SettingRow, ...]:
    """Settings of the tables of which there may be any number."""
    return _listed_rows(
        ("events.webhook", ReceiverSettings), ("events.callback", CallbackReceiverSettings)
    )


def limit_rows() -> tuple[SettingRow, ...]:
    """As `receiver_rows`, of caps, of what is spread, and of quotas."""
    return _listed_rows(
        ("switch.cap", SwitchCap), ("switch.spread", SwitchSpread), ("engine.quota", CallQuota)
    )


def _listed_rows(*kinds: tuple[str, type]) -> tuple[SettingRow, ...]:
    found = (leaf for at, kind in kinds for leaf in leaves(kind, at))
    return tuple(replace(_row(leaf.name, [("", leaf)]), variable="") for leaf in found)


_KEYED: Final = (
    ("commands.", "<kind>", 1),
    ("head_end.operation_timeouts.", "<operation>", 2),
    ("head_end.limits.operations.", "<operation>", 2),
)
"""Start of the name, what stands for the key, and how many words a key has."""


def _keyless(name: str) -> tuple[str, str]:
    for start, word, length in _KEYED:
        if name.startswith(start):
            parts = name.removeprefix(start).split(".")
            return ".".join(parts[:length]), f"{start}{word}.{'.'.join(parts[length:])}"
    return "", name


def _row(name: str, found: list[tuple[str, Leaf]]) -> SettingRow:
    first = found[0][1]
    variable = Leaf(name=name, kind=first.kind, default=None).variable
    for _, word, _ in _KEYED:
        if word in name:
            masked = name.replace(word, "0")
            variable = Leaf(name=masked, kind=first.kind, default=None).variable
            variable = variable.replace("_0_", f"_{word.upper()}_")
    if first.secret:
        variable += "[_FILE]"
    unit = next((unit for end, unit in _UNITS if name.endswith(end)), "")
    return SettingRow(
        name=f"{name}_file" if first.secret else name,
        variable=variable,
        type=f"{_type_of(first)}, {unit}" if unit else _type_of(first),
        range=_range_of(first),
        unit=unit,
        default=_defaults(found),
        help=f"{first.help}, for one operation" if "<operation>" in name else first.help,
    )


def _type_of(leaf: Leaf) -> str:
    """The type in a person's words; a list has what each of its entries is."""
    if leaf.secret:
        return "file"
    kind = leaf.kind
    if kind == frozenset[int]:
        return "list of weekday"
    if get_origin(kind) in (tuple, frozenset) and kind != tuple[time, time]:
        return f"list of {_word_of(get_args(kind)[0])}"
    return _word_of(kind)


def _word_of(kind: Any) -> str:
    if get_origin(kind) is Mapping:
        return "table"
    if get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, StrEnum)):
        return "word"
    return _WORDS.get(kind, "text")


_WORDS: Final[Mapping[object, str]] = MappingProxyType(
    {
        bool: "yes or no",
        int: "whole number",
        float: "number",
        Path: "path",
        tuple[time, time]: "hours",
    }
)


def _range_of(leaf: Leaf) -> str:
    """What a number may be, or which words there are; empty: the type says all."""
    if leaf.bounds is not None:
        return str(leaf.bounds)
    kind = leaf.kind
    if get_origin(kind) in (tuple, frozenset):
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        return ", ".join(map(str, get_args(kind)))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        few = len(kind) <= _FEW
        return ", ".join(each.value for each in kind) if few else f"{len(kind)} of {kind.__name__}"
    return ""


_FEW: Final = 6
"""More words than these would fill the page."""


def sections() -> tuple[tuple[str, str, str], ...]:
    """Every section with the class that it is read into, and the file of that class."""
    found: dict[str, type] = {}
    for leaf in leaves(Settings):
        found.setdefault(_keyless(leaf.name)[1].rpartition(".")[0], leaf.owner)
    return tuple(
        (section or "(top)", owner.__name__, f"{owner.__module__.replace('.', '/')}.py")
        for section, owner in found.items()
    )


def _defaults(found: list[tuple[str, Leaf]]) -> str:
    by_text: dict[str, list[str]] = {}
    for key, leaf in found:
        by_text.setdefault(text_of(leaf.default), []).append(key)
    usual = max(by_text, key=lambda text: len(by_text[text]))
    others = [
        f"{text or 'empty'} for {', '.join(keys)}"
        for text, keys in by_text.items()
        if text != usual
    ]
    return "; ".join([usual, *others])


def text_of(value: object) -> str:
    """A value as people write it; secrets as a mask."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case StrEnum():
            return value.value
        case Secret():
            return "***"
        case float():
            return f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"
        case (time(), time()):
            return f"{value[0]:%H:%M}-{value[1]:%H:%M}"
        case Mapping():
            return ", ".join(f"{key}={text_of(each)}" for key, each in value.items())
        case tuple():
            return ", ".join(map(text_of, value))
        case frozenset():
            return _set_text(value)
    return "needed" if value is MISSING else str(value)


def _set_text(value: frozenset[object]) -> str:
    if value == frozenset(range(7)):
        return "mon to sun"
    if value and all(isinstance(each, int) for each in value):
        return ", ".join(WEEKDAYS[int(str(each))] for each in sorted(value, key=str))
    if (
        len(value) > 1
        and isinstance(one := next(iter(value)), StrEnum)
        and (len(value) == len(type(one)))
    ):
        return "all"
    return ", ".join(sorted(map(text_of, value)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingShown:
    """One setting as it stands. `origin` is "default", "file" or a variable's name."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingValue:
    """What a setting holds. `value` may be a secret, `text` is what may be shown of it."""

    leaf: Leaf
    value: object
    origin: str

    @property
    def shown_name(self) -> str:
        return f"{self.leaf.name}_file" if self.leaf.secret else self.leaf.name

    @property
    def text(self) -> str:
        return "***" if self.leaf.secret and self.value else text_of(self.value)


def shown(loaded: LoadedSettings, *, everything: bool = True) -> tuple[SettingShown, ...]:
    """Every setting with its value, secrets masked; or only those that were given."""
    return tuple(
        SettingShown(name=each.shown_name, value=each.text, origin=each.origin)
        for each in values(loaded).values()
        if everything or each.origin != "default"
    )


def values(loaded: LoadedSettings) -> Mapping[str, SettingValue]:
    """All of them by name; not those of sections, and of rows of keyed sections, that do not
    exist."""
    found = {
        leaf.name: SettingValue(
            leaf=leaf, value=value, origin=loaded.origin.get(leaf.name, "default")
        )
        for leaf in leaves(Settings)
        if (value := _value(loaded.settings, leaf)) is not MISSING
    }
    return found | {each.leaf.name: each for each in _of_tables(loaded)}


def _of_tables(loaded: LoadedSettings) -> Iterator[SettingValue]:
    """Those of tables of which there may be any number: by their number in the file."""
    given = loaded.settings
    tables: tuple[tuple[str, tuple[object, ...]], ...] = (
        ("events.webhook", given.events.webhook),
        ("events.callback", given.events.callback),
        ("switch.cap", given.switch.cap),
        ("switch.spread", given.switch.spread),
        ("engine.quota", given.engine.quota),
    )
    for at, several in tables:
        for number, receiver in enumerate(several, start=1):
            for leaf in leaves(type(receiver), f"{at}.{number}"):
                value = getattr(receiver, leaf.name.rpartition(".")[2])
                yield SettingValue(
                    leaf=leaf, value=value, origin="default" if value == leaf.default else "file"
                )


def _value(settings: Settings, leaf: Leaf) -> object:
    """What the settings hold at a name; MISSING where a section on the way is not there."""
    value: object = settings
    rest = leaf.name
    while rest:
        if isinstance(value, Mapping):
            key = next((each for each in value if rest.startswith(f"{each}.")), None)
            if key is None:
                return MISSING
            value, rest = value[key], rest.removeprefix(f"{key}.")
        elif is_dataclass(value):
            names = {item.name for item in fields(value)}
            name, _, rest = rest.partition(".")
            value = getattr(value, name) if name in names else MISSING
        else:
            return MISSING
    return value
