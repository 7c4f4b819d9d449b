"""Schemas of the OpenAPI document: those that msgspec makes of our types, with what it leaves out.

Each property has a description, each time its format, each set of words its type; and of each
schema an example can be made.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any as Untyped
from typing import Final

import msgspec
from msgspec import inspect

from adapter.web.api.words import NULL, WORDS, FieldWord

Json = dict[str, Untyped]

_PREFIX: Final = "#/components/schemas/"
_SENTENCE: Final = re.compile(r"(?<=[.;:])\s+(?=[A-Z`])")
_NAMED: Final = re.compile(r"`([a-z][a-z_0-9]*\*?)`")
_TIME: Final = "2026-03-02T06:00:00Z"
_BY_TYPE: Final[Mapping[str, Untyped]] = {
    "string": "text",
    "integer": 1,
    "number": 1.5,
    "boolean": False,
    "null": None,
}


def schemas_of(kinds: Iterable[type]) -> tuple[dict[type, Json], Json]:
    """The schema of each type, and the components that they refer to."""
    kinds = tuple(dict.fromkeys(kinds))
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_PREFIX + "{name}")
    classes = {found.cls.__name__: found for found in _structs(inspect.multi_type_info(kinds))}
    for name, schema in components.items():
        if "enum" in schema:
            schema.setdefault("type", "string")
        if "description" in schema:
            schema["description"] = " ".join(schema["description"].split())
        if name in classes:
            _describe(name, classes[name], schema)
    return dict(zip(kinds, schemas, strict=True)), components


_Fields = inspect.StructType | inspect.DataclassType


def _structs(kinds: Iterable[inspect.Type]) -> Iterator[_Fields]:
    seen: set[type] = set()
    left = list(kinds)
    while left:
        kind = left.pop()
        left.extend(_inner(kind))
        if isinstance(kind, _Fields) and kind.cls not in seen:
            seen.add(kind.cls)
            left.extend(field.type for field in kind.fields)
            yield kind


def _inner(kind: inspect.Type) -> Iterable[inspect.Type]:
    match kind:
        case inspect.UnionType(types=types):
            return types
        case inspect.Metadata(type=inner):
            return [inner]
        case inspect.CollectionType(item_type=item):
            return [item]
        case inspect.DictType(value_type=value):
            return [value]
    return []


def _describe(name: str, kind: _Fields, schema: Json) -> None:
    properties = schema["properties"]
    said = _sentences(kind.cls)
    for field in kind.fields:
        found = properties[field.encode_name]
        _format(field.type, found)
        own, word = WORDS.get(f"{name}.{field.encode_name}"), WORDS.get(field.encode_name)
        named = (text for star, text in said.items() if fnmatchcase(field.encode_name, star))
        text = own.text if own else next(named, word.text if word else None)
        if text is not None:
            found["description"] = text


def _sentences(cls: type) -> dict[str, str]:
    """Of its docstring and those it inherits: what is said of each name in backticks."""
    found: dict[str, str] = {}
    for each in cls.__mro__:
        text = " ".join((vars(each).get("__doc__") or "").split())
        if each.__module__.startswith("adapter."):
            for sentence in _SENTENCE.split(text):
                for name in _NAMED.findall(sentence):
                    said = sentence.removeprefix(f"`{name}`: ").rstrip(";:.")
                    found.setdefault(name, said[:1].upper() + said[1:] + ".")
    return found


def _word(owner: str, name: str) -> FieldWord | None:
    return WORDS.get(f"{owner}.{name}") or WORDS.get(name)


def _format(kind: inspect.Type, schema: Json) -> None:
    """A time has its format, also one without a rule for its zone: all that are given have one."""
    for each in (kind, *_inner(kind)):
        if isinstance(each, inspect.DateTimeType):
            for member in (schema, *schema.get("anyOf", ())):
                if member.get("type") == "string":
                    member["format"] = "date-time"


# ---------------------------------------------------------------- examples


def example_of(schema: Json, components: Json, name: str = "", owner: str = "") -> Untyped:
    """What a value may look like; `name` is the property of `owner` that it is."""
    sample = _sample(owner, name)
    if sample is NULL:
        return None
    if "anyOf" in schema:
        some = [each for each in schema["anyOf"] if each != {"type": "null"}]
        plain = sample is None and not any("$ref" in each for each in some)
        nothing = plain and len(some) < len(schema["anyOf"])
        return None if nothing else example_of(some[0], components, name, owner)
    if "$ref" in schema:
        owner = schema["$ref"].removeprefix(_PREFIX)
        schema = components[owner]
    if "enum" in schema:
        return sample if sample in schema["enum"] else schema["enum"][0]
    if sample is not None and _is(schema, sample):
        return sample
    if schema.get("format") == "date-time":
        return _TIME
    match schema.get("type"):
        case "object" if "properties" in schema:
            return {
                each: example_of(inner, components, each, owner)
                for each, inner in schema["properties"].items()
            }
        case "object":
            return {}
        case "array":
            least = schema.get("minItems", 1)
            return [example_of(schema["items"], components) for _ in range(least)]
        case str(kind):
            return _BY_TYPE[kind]
    return None


def _sample(owner: str, name: str) -> Untyped:
    word = _word(owner, name) if name else None
    return None if word is None else word.sample


def _is(schema: Json, sample: Untyped) -> bool:
    kinds = {"string": str, "integer": int, "number": float, "boolean": bool, "array": list}
    kind = kinds.get(schema.get("type", ""), dict)
    if isinstance(sample, list) and sample and schema.get("items", {}).get("type") != "string":
        return False
    return isinstance(sample, kind) and isinstance(sample, bool) == (kind is bool)
