"""Statements of the store as PostgreSQL reads them.

They are written in the SQL that SQLite and PostgreSQL share. What the two cannot agree on is here
as far as a rule tells it, and in variants.py where it does not.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from adapter.store.postgresql.variants import FRAGMENTS, WALKED


@dataclass(frozen=True, slots=True)
class Statement:
    """`text` has $1, $2 ...; `values` names the value of each, or gives its place among those that
    a caller gives, from 0."""

    text: str
    values: tuple[str | int, ...]
    lists: frozenset[int]
    """Places of values that are lists, given as JSON."""
    walked: bool
    """It finds so much that it is fetched bit by bit."""
    numbered: bool
    """It returns the number that each new row was given."""


_PLACE: Final = r"(\?\d*|:[a-z_]+)"
_LIST: Final = "~"
"""Before a placeholder: its value is a list."""

_RULES: Final = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (r" ?INDEXED BY \w+", ""),
        (r" AS BLOB\)", " AS bytea)"),
        (r" AS INTEGER\)", " AS bigint)"),
        (rf"([\w.]+) NOT IN \(SELECT value FROM json_each\({_PLACE}\)\)", r"\1 <> ALL(~\2)"),
        (rf"([\w.]+) IN \(SELECT value FROM json_each\({_PLACE}\)\)", r"\1 = ANY(~\2)"),
        (
            rf"json_each\({_PLACE}\) AS (\w+)",
            r"unnest(~\1::text[]) WITH ORDINALITY AS \2 (value, key)",
        ),
        (
            rf"json_each\({_PLACE}\)",
            r"unnest(~\1::text[]) WITH ORDINALITY AS json_each (value, key)",
        ),
        (r"CROSS JOIN (\w+(?: (?:AS )?\w+)?) ON", r"JOIN \1 ON"),
        (r"json_valid\(CAST\(([\w.]+) AS TEXT\)\)", r"(convert_from(\1, 'UTF8') IS JSON)"),
        (
            r"json_array_length\(CAST\(([\w.]+) AS TEXT\)\)",
            r"json_array_length(convert_from(\1, 'UTF8')::json)",
        ),
        (r"CAST\(([\w.]+) AS TEXT\) ->> '\$\.(\w+)'", r"member_of(\1, '\2')"),
        (rf"(\w+) = {_PLACE} COLLATE NOCASE", r"lower(\1) = lower(\2)"),
        (
            r"CAST\(((?:\w+\.)?(?:body|counts|targets)) AS TEXT\) ->> '\$\[0\]\[1\]'",
            r"(convert_from(\1, 'UTF8')::json #>> '{0,1}')",
        ),
        (
            r"CAST\(((?:\w+\.)?(?:body|classes|counts|targets)) AS TEXT\)",
            r"convert_from(\1, 'UTF8')",
        ),
        (r"(\w+\.outcome) ->> '\$\.(\w+)'", r"(\1::json ->> '\2')"),
        (r"\bX'([0-9A-F]*)'", r"'\\x\1'::bytea"),
        (r"\binstr\(", "strpos("),
        (r"json_group_array\((DISTINCT \w+)\)", r"json_agg(\1)::text"),
        # What is compared first tells the type of the value.
        (r"\((:\w+) IS NULL OR ([\w.]+ >?= \1)\)", r"(\2 OR \1 IS NULL)"),
        # To SQLite a plus says: by another index.
        (r"(?<=WHERE )\+(?=\w)", ""),
        (r"(?s)^(\s*INSERT INTO command \(.*)$", r"\1 RETURNING number"),
        # A number that is given to a row that is there already would be lost.
        (
            r"VALUES \(\?, \?, \?, \?\) ON CONFLICT \(id\) DO NOTHING$",
            "SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS"
            " (SELECT 1 FROM publication AS known WHERE known.id = ?1)"
            " ON CONFLICT (id) DO NOTHING RETURNING seq",
        ),
    )
)
_TOKENS: Final = re.compile(rf"'(?:[^']|'')*'|::|(~?){_PLACE}")
_SCALAR: Final = {"max": "greatest", "min": "least"}
_SCALARS: Final = re.compile(r"\b(max|min)\(")
_VALUES: Final = re.compile(r"VALUES\s*\(")
_WHERE: Final = re.compile(r"\sWHERE\s")
_NUMBER: Final = re.compile(r"\$(\d+)")
_CONFLICT: Final = re.compile(r"ON CONFLICT \(([^()]*)\) DO UPDATE")
_COLUMNS: Final = re.compile(r"INSERT INTO \w+ \(([^()]*)\)")


@lru_cache(maxsize=1024)
def statement(sql: str) -> Statement:
    """The statement for one row, or for none."""
    text = sql
    for before, after in FRAGMENTS:
        text = text.replace(before, after)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text, values, lists = _numbered(_greatest(text))
    return Statement(
        text=text,
        values=values,
        lists=lists,
        walked=sql in WALKED,
        numbered=text.endswith((" RETURNING number", " RETURNING seq")),
    )


def _greatest(text: str) -> str:
    """The greater of two values is another function than the greatest of all rows."""
    start = 0
    while (found := _SCALARS.search(text, start)) is not None:
        start = found.end()
        if len(_members(text[start:])) > 1:
            name = _SCALAR[found.group(1)]
            text = f"{text[: found.start()]}{name}({text[start:]}"
            start = found.start() + len(name) + 1
    return text


def _members(rest: str) -> list[str]:
    """What stands between commas up to the bracket that closes the one that was opened before."""
    depth, start = 1, 0
    found: list[str] = []
    for place, each in enumerate(rest):
        depth += (each == "(") - (each == ")")
        if (each == "," and depth == 1) or not depth:
            found.append(rest[start:place])
            start = place + 1
        if not depth:
            break
    return found


def _numbered(text: str) -> tuple[str, tuple[str | int, ...], frozenset[int]]:
    values: list[str | int] = []
    highest = -1
    lists: set[int] = set()

    def place(found: re.Match[str]) -> str:
        mark, name = found.group(1), found.group(2)
        if name is None:
            return found.group()
        nonlocal highest
        value: str | int = name[1:]
        if name[0] == "?":
            value = int(name[1:]) - 1 if name[1:] else highest + 1
            highest = max(highest, value)
        if value not in values:
            values.append(value)
        if mark:
            lists.add(values.index(value))
        return f"${values.index(value) + 1}"

    return _TOKENS.sub(place, text), tuple(values), frozenset(lists)


def for_many(text: str, types: Sequence[str]) -> str:
    """A numbered statement for one row, for an array of each value's type: one value a row."""
    arrays = ", ".join(f"${place}::{type_}[]" for place, type_ in enumerate(types, 1))
    names = ", ".join(f"p{place}" for place in range(1, len(types) + 1))
    rows = f"unnest({arrays}) AS given ({names})"
    of_row = _NUMBER.sub(r"given.p\1", text)
    kind = text.split(None, 1)[0]
    if (found := _VALUES.search(of_row)) is not None:
        values = ",".join(_members(of_row[found.end() :]))
        behind = of_row[found.end() + len(values) + 1 :]
        return f"{of_row[: found.start()]}SELECT {values} FROM {rows}{behind}"
    word = "USING" if kind == "DELETE" else "FROM"
    return _WHERE.sub(f" {word} {rows} WHERE ", of_row, count=1)


def key_of(text: str) -> Callable[[Sequence[object]], object] | None:
    """Which values of a row say what row of the table it changes: a statement for many rows changes
    each once. None: it makes rows, and changes none."""
    places: list[int]
    if (conflict := _CONFLICT.search(text)) is not None:
        columns, values = _COLUMNS.search(text), _VALUES.search(text)
        assert columns is not None, text
        assert values is not None, text
        names = [each.strip() for each in columns.group(1).split(",")]
        given = [each.strip() for each in _members(text[values.end() :])]
        keys = [given[names.index(each.strip())] for each in conflict.group(1).split(",")]
        places = [int(each[1:]) - 1 for each in keys if each.startswith("$")]
    elif (where := _WHERE.search(text)) is not None:
        places = sorted({int(each) - 1 for each in _NUMBER.findall(text[where.end() :])})
    else:
        return None
    return lambda row: tuple(row[place] for place in places)
