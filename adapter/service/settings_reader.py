"""Reads frozen dataclasses from a TOML table and the environment, by their annotations.

The environment goes before the file, the file before the default. Every complaint names the
setting; all of them are gathered, so that a start which is refused says everything at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Annotated, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from adapter.errors import SettingsError
from adapter.headend.secret import Secret
from adapter.service.settings_secrets import is_secret, secrets_of
from adapter.service.settings_values import Wrong, convert, from_text, guess, path_of

T = TypeVar("T")

PREFIX: Final = "OPENWAY_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One setting: its dotted name, the variable, its type, its default (MISSING: none)."""

    name: str
    kind: object
    default: object
    help: str = ""

    @property
    def variable(self) -> str:
        return variable_of(self.name)

    @property
    def secret(self) -> bool:
        return is_secret(self.kind, self.name)


@dataclass(slots=True)
class Sources:
    """What was given: the variables, the folder of the file; and what was found wrong with it."""

    environ: Mapping[str, str]
    folder: Path
    problems: list[str] = field(default_factory=list)
    origin: dict[str, str] = field(default_factory=dict)

    def complain(self, name: str, problem: str) -> None:
        self.problems.append(f"{name}: {problem}")


def variable_of(name: str) -> str:
    """`listener.max_body_bytes` is OPENWAY_LISTENER_MAX_BODY_BYTES."""
    return PREFIX + "".join(each if each.isalnum() else "_" for each in name).upper()


# ---------------------------------------------------------------- what there is


@dataclass(frozen=True, slots=True)
class _Member:
    """A field of a settings class, its annotation taken apart."""

    name: str
    kind: object
    help: str
    optional: bool
    default: object


def _members(kind: type) -> tuple[_Member, ...]:
    return _known_members(kind)


@lru_cache(maxsize=64)
def _known_members(kind: type) -> tuple[_Member, ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple(_member(item, hints[item.name]) for item in fields(kind))


def _member(item: "Field[object]", hint: object) -> _Member:
    text = ""
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        text = next((note for note in notes if isinstance(note, str)), "")
    optional = False
    if get_origin(hint) in (Union, UnionType):
        parts = [part for part in get_args(hint) if part is not type(None)]
        optional, hint = len(parts) < len(get_args(hint)), parts[0]
    default = item.default
    if default is MISSING and item.default_factory is not MISSING:
        default = item.default_factory()
    return _Member(item.name, hint, text, optional, default)


def _keyed(kind: object) -> tuple[type[StrEnum], type] | None:
    """The key and the section of a mapping of sections, else None."""
    if get_origin(kind) is Mapping:
        key, value = get_args(kind)
        if is_dataclass(value) and isinstance(value, type):
            return key, value
    return None


def _below(parent: object, member: _Member) -> object:
    """The default of a member: what the default of its section has there."""
    return member.default if parent is None else getattr(parent, member.name)


def leaves(kind: type, at: str = "", default: object = None) -> Iterator[Leaf]:
    """Every setting of a settings class, in its order; each key of a keyed section for itself."""
    for member in _members(kind):
        name = f"{at}.{member.name}" if at else member.name
        value = _below(default, member)
        keyed = _keyed(member.kind)
        if isinstance(member.kind, type) and is_dataclass(member.kind):
            standard = None if value is MISSING else value
            yield from leaves(member.kind, name, standard)
        elif keyed is not None:
            given = value if isinstance(value, Mapping) else {}
            for key in keyed[0]:
                yield from leaves(keyed[1], f"{name}.{key.value}", given.get(key))
        else:
            yield Leaf(name=name, kind=member.kind, default=value, help=member.help)


# ---------------------------------------------------------------- reading


def read_section(
    kind: type[T], table: object, sources: Sources, at: str = "", default: object = None
) -> T | None:
    """The section as given, or None where that cannot be; the complaints are in `sources`."""
    if not isinstance(table, Mapping):
        sources.complain(at, "must be a table")
        return None
    before = len(sources.problems)
    _refuse_unknown(kind, table, sources, at)
    values: dict[str, object] = {}
    for member in _members(kind):
        name = f"{at}.{member.name}" if at else member.name
        standard = _below(default, member)
        values[member.name] = _read_member(member, name, standard, table, sources, values)
    if len(sources.problems) > before:
        return None
    try:
        return kind(**values)
    except SettingsError as error:
        sources.problems.append(f"{at}.{error}" if at else str(error))
        return None


def _refuse_unknown(kind: type, table: Mapping[str, object], sources: Sources, at: str) -> None:
    known = {member.name for member in _members(kind)}
    files = {
        f"{member.name}_file" for member in _members(kind) if is_secret(member.kind, member.name)
    }
    for name in table:
        if name not in known | files:
            where = f"{at}.{name}" if at else name
            sources.complain(where, f"unknown setting{guess(name, frozenset(known | files))}")


def _read_member(
    member: _Member,
    name: str,
    standard: object,
    table: Mapping[str, object],
    sources: Sources,
    read: Mapping[str, object],
) -> object:
    kind = member.kind
    if (keyed := _keyed(kind)) is not None:
        given = table.get(member.name, {})
        rows = standard if isinstance(standard, Mapping) else {}
        fallback = read.get(_FALLBACK.get(name, ""))
        return _read_keyed(keyed, given, sources, name, rows, fallback)
    if isinstance(kind, type) and is_dataclass(kind):
        base = None if standard is MISSING else standard
        given = table.get(member.name, {})
        if member.optional and base is None and given == {} and not _named(kind, name, sources):
            return None
        return read_section(kind, given, sources, name, base)
    leaf = Leaf(name=name, kind=kind, default=standard, help=member.help)
    if leaf.secret:
        return _read_secret(leaf, member, table, sources)
    return _read_leaf(leaf, member, table, sources)


_FALLBACK: Final[Mapping[str, str]] = MappingProxyType({"head_end.operation_timeouts": "timeouts"})
"""Keyed sections whose members are, where not given, as in a section read before."""


def _named(kind: type, at: str, sources: Sources) -> bool:
    """Whether a variable gives anything in the section."""
    return any(
        leaf.variable in sources.environ
        or (leaf.secret and f"{leaf.variable}_FILE" in sources.environ)
        for leaf in leaves(kind, at)
    )


def _read_keyed(
    keyed: tuple[type[StrEnum], type],
    table: object,
    sources: Sources,
    at: str,
    standard: Mapping[StrEnum, object],
    fallback: object,
) -> Mapping[StrEnum, object]:
    keys, kind = keyed
    if not isinstance(table, Mapping):
        sources.complain(at, "must be a table")
        return MappingProxyType({})
    known = [key.value for key in keys]
    for name in table:
        if name not in known:
            sources.complain(f"{at}.{name}", f"unknown{guess(name, known)}")
    rows: dict[StrEnum, object] = {}
    for key in keys:
        name = f"{at}.{key.value}"
        if key.value not in table and not _named(kind, name, sources):
            if key in standard:
                rows[key] = standard[key]
            continue
        base = standard.get(key, fallback)
        rows[key] = read_section(kind, table.get(key.value, {}), sources, name, base)
    return MappingProxyType(rows)


def _read_leaf(
    leaf: Leaf, member: _Member, table: Mapping[str, object], sources: Sources
) -> object:
    text = sources.environ.get(leaf.variable)
    folder = sources.folder
    if text is not None:
        sources.origin[leaf.name] = leaf.variable
        value, folder = from_text(leaf.kind, text), Path()
    elif member.name in table:
        sources.origin[leaf.name] = "file"
        value = table[member.name]
    elif leaf.default is MISSING:
        sources.complain(leaf.name, f"is needed (or {leaf.variable})")
        return None
    else:
        return leaf.default
    try:
        return convert(leaf.name, leaf.kind, value, folder)
    except Wrong as wrong:
        sources.complain((text is not None and leaf.variable) or leaf.name, str(wrong))
        return None


# ---------------------------------------------------------------- secrets


def _read_secret(
    leaf: Leaf, member: _Member, table: Mapping[str, object], sources: Sources
) -> object:
    """A secret from its variable, or from the file that the settings or a variable name."""
    variable, in_file = leaf.variable, f"{leaf.variable}_FILE"
    named = leaf.name
    try:
        if member.name in table:
            raise Wrong(
                f"secrets are not written in the settings file; name a file in "
                f"{member.name}_file, or set {variable}"
            )
        if variable in sources.environ:
            named = sources.origin[leaf.name] = variable
            return secrets_of(leaf.kind, Secret.from_environment(variable, sources.environ), ";")
        if in_file in sources.environ:
            named = sources.origin[leaf.name] = in_file
            given = Secret.from_file(path_of(sources.environ[in_file], Path()))
        elif f"{member.name}_file" in table:
            sources.origin[leaf.name], named = "file", f"{leaf.name}_file"
            given = Secret.from_file(path_of(table[f"{member.name}_file"], sources.folder))
        else:
            if leaf.default is MISSING:
                raise Wrong(f"is needed: {member.name}_file, or {variable}")
            return leaf.default
        return secrets_of(leaf.kind, given, "\n")
    except (Wrong, SettingsError) as wrong:
        sources.complain(named, str(wrong))
        return None
