"""Reads frozen dataclasses from a TOML table and the environment, by their annotations.

A setting is one line: `name: Annotated[type, bounds, "help"] = default`. The environment goes
before the file, the file before the default. Every complaint names the setting; all of them are
gathered, so that a start which is refused says everything at once.

Secrets (`Secret`, and lists of `Secret` or of a class with `from_line`) are never in the settings
file: it names a file of them in `name_file`. In such a file an entry is a line, and lines that
start with `#` are skipped; a variable has `;` between entries.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

from adapter.errors import SettingsError, meant
from adapter.model.bounds import Bounds, bounds_in, unwrapped
from adapter.model.secret import Secret
from adapter.model.values import replace
from adapter.settings.conversion import convert, from_text, path_of
from adapter.settings.text_files import open_to_others, secret_from_environment, secret_from_file

T = TypeVar("T")

PREFIX: Final = "OPENWAY_"

# ---------------------------------------------------------------- what there is


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One setting: its dotted name, its type, its default (MISSING: none), help and bounds.

    `owner` is the settings class that it is a field of.
    """

    name: str
    kind: Any
    default: object
    help: str = ""
    bounds: Bounds | None = None
    owner: type = object

    @property
    def variable(self) -> str:
        """`listener.max_body_bytes` is OPENWAY_LISTENER_MAX_BODY_BYTES."""
        return PREFIX + "".join(each if each.isalnum() else "_" for each in self.name).upper()

    @property
    def secret(self) -> bool:
        kind = self.kind
        item = get_args(kind)[0] if get_origin(kind) is tuple else kind
        return item is Secret or hasattr(item, "from_line")

    @property
    def variables(self) -> frozenset[str]:
        return frozenset(
            {self.variable, f"{self.variable}_FILE"} if self.secret else {self.variable}
        )


@dataclass(frozen=True, slots=True)
class _Member:
    """A field of a settings class, its annotation taken apart. `fallback` names the member of the
    same class whose value a keyed section has where nothing of its own is given."""

    name: str
    kind: Any
    help: str
    bounds: Bounds | None
    optional: bool
    default: object
    fallback: str

    def leaf(self, name: str, default: object) -> Leaf:
        return Leaf(name=name, kind=self.kind, default=default, help=self.help, bounds=self.bounds)

    @property
    def section(self) -> bool:
        return isinstance(self.kind, type) and is_dataclass(self.kind)

    @property
    def listed(self) -> type | None:
        """The section of which there may be any number, else None."""
        item = next(iter(get_args(self.kind)), None)
        if get_origin(self.kind) is not tuple or not isinstance(item, type):
            return None
        return item if is_dataclass(item) and not hasattr(item, "from_line") else None

    @property
    def keyed(self) -> tuple[type[StrEnum], type] | None:
        """The key and the section of a mapping of sections, else None."""
        if get_origin(self.kind) is Mapping and is_dataclass(get_args(self.kind)[1]):
            key, section = get_args(self.kind)
            return key, section
        return None

    def below(self, parent: object) -> object:
        """Its default: what the default of its section has there."""
        return self.default if parent is None else getattr(parent, self.name)


NOT_IN_THE_FILE: Final[Mapping[str, bool]] = MappingProxyType({"in_file": False})
"""Metadata of a field that is no setting."""


def falls_back_on(name: str) -> Mapping[str, str]:
    """Metadata of a keyed section whose rows are, where not given, as another section is."""
    return {"fallback": name}


def _members(kind: Any) -> tuple[_Member, ...]:
    return _known_members(kind)


@lru_cache(maxsize=64)
def _known_members(kind: Any) -> tuple[_Member, ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        _member(item, hints[item.name])
        for item in fields(kind)
        if item.metadata.get("in_file", True)
    )


def _member(item: Any, hint: object) -> _Member:
    kind, notes, optional = unwrapped(hint)
    default = item.default
    if default is MISSING and item.default_factory is not MISSING:
        default = item.default_factory()
    return _Member(
        name=item.name,
        kind=kind,
        help=next((note for note in reversed(notes) if isinstance(note, str)), ""),
        bounds=bounds_in(notes),
        optional=optional,
        default=default,
        fallback=item.metadata.get("fallback", ""),
    )


def leaves(kind: type, at: str = "", default: object = None) -> Iterator[Leaf]:
    """Every setting of a settings class, in its order; each key of a keyed section for itself.
    Those of sections of which there may be any number are left out: they have no variables."""
    for member in _members(kind):
        name = _below(at, member.name)
        value = member.below(default)
        if member.listed is not None:
            continue
        if member.keyed is not None:
            given = value if isinstance(value, Mapping) else {}
            for key in member.keyed[0]:
                yield from leaves(member.keyed[1], f"{name}.{key.value}", given.get(key))
        elif member.section:
            yield from leaves(member.kind, name, None if value is MISSING else value)
        else:
            yield replace(member.leaf(name, value), owner=kind)


def _below(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


# ---------------------------------------------------------------- reading


@dataclass(slots=True)
class Sources:
    """What was given: the variables, the folder of the file; and what was found wrong with it."""

    environ: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path()
    problems: list[str] = field(default_factory=list)
    origin: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    """What is taken all the same: files of secrets that others may read."""
    files: dict[str, Path] = field(default_factory=dict)
    """Of each setting whose secrets stand in a file."""
    variables: bool = True
    """Whether settings have variables; those of a table of which there may be many have none."""
    skipped: frozenset[str] = frozenset()
    """Settings that nobody asks for: they have their defaults, whatever is given."""

    def complain(self, name: str, problem: str) -> None:
        self.problems.append(f"{name}: {problem}")

    def secret_from(self, file: Path, name: str, leaf: Leaf) -> Secret:
        """Raises SettingsError as `secret_from_file` does."""
        self.files[leaf.name] = file
        secret = secret_from_file(file, several=leaf.kind is not Secret)
        self.warn_of(file, name)
        return secret

    def warn_of(self, file: Path, name: str) -> None:
        """Of a file that holds a secret: that everybody may read it."""
        if problem := open_to_others(file):
            self.warnings.append(f"{name}: {problem}")

    def names(self, kind: type, at: str) -> bool:
        """Whether a variable gives anything in the section."""
        return any(leaf.variables & self.environ.keys() for leaf in leaves(kind, at))

    def refuse_unknown(self, given: Iterable[str], known: Iterable[str], at: str = "") -> None:
        known = list(known)
        for name in given:
            if name not in known:
                self.complain(_below(at, name), f"unknown setting{meant(name, known)}")

    def refuse_unknown_variables(self, kind: type, reserved: Iterable[str]) -> None:
        known = frozenset(reserved).union(*(leaf.variables for leaf in leaves(kind)))
        for name in sorted(self.environ):
            if name.startswith(PREFIX) and name not in known:
                self.complain(name, f"unknown variable{meant(name, known)}")


def read_section(
    kind: type[T], table: object, sources: Sources, at: str = "", default: object = None
) -> T | None:
    """The section as given, or None where that cannot be; the complaints are in `sources`."""
    if not isinstance(table, Mapping):
        sources.complain(at, "must be a table")
        return None
    before = len(sources.problems)
    members = _members(kind)
    files = [f"{each.name}_file" for each in members if each.leaf(each.name, None).secret]
    sources.refuse_unknown(table, [*(each.name for each in members), *files], at)
    values: dict[str, object] = {}
    for member in members:
        standard = member.below(default)
        name = _below(at, member.name)
        if member.listed is not None:
            values[member.name] = _read_listed(member.listed, name, table, sources, member.name)
        elif member.keyed is not None:
            values[member.name] = _read_keyed(member, name, standard, table, sources, values)
        elif member.section:
            values[member.name] = _read_subsection(member, name, standard, table, sources)
        else:
            values[member.name] = _read_leaf(member, member.leaf(name, standard), table, sources)
    if len(sources.problems) > before:
        return None
    try:
        return kind(**values)
    except SettingsError as error:
        name, _, problem = _below(at, str(error)).partition(": ")
        file = sources.files.get(name.removesuffix("_file"))  # a complaint about what is in it
        sources.problems.append(": ".join(str(x) for x in (name, file, problem) if x))
        return None


def _read_subsection(
    member: _Member,
    name: str,
    standard: object,
    table: Mapping[str, object],
    sources: Sources,
) -> object:
    base = None if standard is MISSING else standard
    given = table.get(member.name, {})
    if member.optional and base is None and given == {} and not sources.names(member.kind, name):
        return None
    return read_section(member.kind, given, sources, name, base)


def _read_listed(
    kind: type, at: str, table: Mapping[str, object], sources: Sources, name: str
) -> tuple[object, ...]:
    """Of the file alone: no variable could say which of them it is for."""
    given = table.get(name, [])
    if not isinstance(given, list):
        sources.complain(at, f"must be tables, each under [[{at}]]")
        return ()
    beside = replace(sources, environ={}, origin={}, variables=False)
    return tuple(
        read_section(kind, each, beside, f"{at}.{number}")
        for number, each in enumerate(given, start=1)
    )


def _read_keyed(
    member: _Member,
    at: str,
    standard: object,
    table: Mapping[str, object],
    sources: Sources,
    read: Mapping[str, object],
) -> Mapping[StrEnum, object]:
    keys, kind = member.keyed or (StrEnum, object)
    standards = standard if isinstance(standard, Mapping) else {}
    given = table.get(member.name, {})
    if not isinstance(given, Mapping):
        sources.complain(at, "must be a table")
        return MappingProxyType({})
    known = [key.value for key in keys]
    for name in given:
        if name not in known:
            sources.complain(f"{at}.{name}", f"unknown{meant(name, known)}")
    rows: dict[StrEnum, object] = {}
    for key in keys:
        name = f"{at}.{key.value}"
        if key.value in given or sources.names(kind, name):
            base = standards.get(key, read.get(member.fallback))
            rows[key] = read_section(kind, given.get(key.value, {}), sources, name, base)
        elif key in standards:
            rows[key] = standards[key]
    return MappingProxyType(rows)


def _read_leaf(
    member: _Member, leaf: Leaf, table: Mapping[str, object], sources: Sources
) -> object:
    """The value of one setting; None, with a complaint, where it is bad."""
    last, variable = member.name, leaf.variable
    if leaf.name in sources.skipped:
        return leaf.default
    if leaf.secret and last in table:
        why = "secrets are not written in the settings file; name a file in"
        other = f", or set {variable}" if sources.variables else ""
        sources.complain(leaf.name, f"{why} {last}_file{other}")
        return None
    given = (_secret_given if leaf.secret else _plain_given)(leaf, last, table, sources)
    if given is None:
        if leaf.default is MISSING:
            sources.complain(leaf.name, f"is needed{_ways(leaf, last, sources)}")
            return None
        return leaf.default
    sources.origin[leaf.name], read = given
    try:
        return read()
    except SettingsError as error:
        sources.problems.append(str(error))
        return None


def _ways(leaf: Leaf, last: str, sources: Sources) -> str:
    """How else a setting is given than by its own name in the file."""
    variable = leaf.variable if sources.variables else ""
    if leaf.secret:
        return f": {last}_file" + (f", or {variable}" if variable else "")
    return f" (or {variable})" if variable else ""


Given = tuple[str, Callable[[], object]]
"""Where a setting comes from ("file" or a variable), and what reads it."""


def _plain_given(
    leaf: Leaf, last: str, table: Mapping[str, object], sources: Sources
) -> Given | None:
    variable, kind = leaf.variable, leaf.kind
    if (text := sources.environ.get(variable)) is not None:
        given = from_text(kind, text)
        return variable, lambda: convert(variable, kind, given, Path(), leaf.bounds)
    if last in table:
        folder = sources.folder
        return "file", lambda: convert(leaf.name, kind, table[last], folder, leaf.bounds)
    return None


def _secret_given(
    leaf: Leaf, last: str, table: Mapping[str, object], sources: Sources
) -> Given | None:
    """From its variable, or from the file that a variable or the settings name."""
    environ, variable, kind = sources.environ, leaf.variable, leaf.kind
    in_file = f"{variable}_FILE"
    file: object
    if variable in environ:
        return variable, lambda: _secrets(
            variable, kind, lambda: secret_from_environment(variable, environ), ";"
        )
    if in_file in environ:
        named, file, folder = in_file, environ[in_file], Path()
    elif f"{last}_file" in table:
        named, file, folder = f"{leaf.name}_file", table[f"{last}_file"], sources.folder
    else:
        return None
    origin = in_file if named == in_file else "file"
    return origin, lambda: _secrets(
        named, kind, lambda: sources.secret_from(path_of(file, folder), named, leaf), "\n"
    )


def _secrets(name: str, kind: Any, read: Callable[[], Secret], separator: str) -> object:
    """What a setting of this kind holds. Raises SettingsError, which repeats no secret."""
    try:
        given = read()
        if kind is Secret:
            return given
        make = getattr(get_args(kind)[0], "from_line", Secret)
        return tuple(make(line) for line in entries(given.reveal(), separator))
    except SettingsError as error:
        raise SettingsError(f"{name}: {error}") from None


def entries(text: str, separator: str = "\n") -> Iterator[str]:
    """Those of a file of secrets: its lines but for comments."""
    lines = (line.strip() for line in text.split(separator))
    return (line for line in lines if line and not line.startswith("#"))
