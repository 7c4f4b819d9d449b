"""Public names stay: fields of REST, columns of exports, types of events, words of commands.

`tests/public_names.txt` has them, a line a thing. Whoever changes one breaks somebody's program:
write it into CHANGELOG.md and into that list.
"""

import ast
import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import adapter
from adapter.cli import openway
from adapter.cli.tables_commands import publications
from adapter.demo.city import CityReport
from adapter.engine.readings.reports import EventRow, ValueRow
from adapter.engine.upkeep.signals import SIGNALS
from adapter.export import columns
from adapter.web.api.openapi import document

LIST = Path(__file__).parents[1] / "public_names.txt"
PACKAGE = Path(adapter.__file__).parent


def listed() -> list[str]:
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def routes() -> Iterator[str]:
    for path, item in document()["paths"].items():
        for method, operation in item.items():
            names = sorted(each["name"] for each in operation.get("parameters", []))
            yield line("route", f"{method.upper()} {path}", [operation["operationId"], *names])


def bodies() -> Iterator[str]:
    """Each struct that REST takes or gives, and each closed set of words."""
    for name, schema in document()["components"]["schemas"].items():
        if "enum" in schema:
            yield line("words", name, schema["enum"])
        else:
            yield line("fields", name, schema.get("properties", {}))


def exports() -> Iterator[str]:
    yield line("columns", "values", (f"{each.name}:{each.form}" for each in columns.VALUES))
    yield line("columns", "events", (f"{each.name}:{each.form}" for each in columns.EVENTS))
    yield line("lines", "measurements", ValueRow._fields)
    yield line("lines", "arrived-events", EventRow._fields)


def event_types() -> Iterator[str]:
    """As the source has them: what varies is a star."""
    for call in calls("Publication"):
        words = {each.arg: each.value for each in call.keywords}
        if isinstance(data := words["data"], ast.Dict):
            yield line("event", text_of(words["type"]), sorted(map(text_of, data.keys)))
    for row in SIGNALS.values():
        if not row.told:
            yield line("event", f"openway.{row.event}", ())
    for call in calls("Publish"):
        name = next(each.value for each in call.keywords if each.arg == "name")
        yield line("event", f"openway.command.{text_of(name)}", ())
    for call in calls("alarm"):
        if len(call.args) == 2:
            yield line("event", f"openway.command.{text_of(call.args[0])}", ())


def command_line() -> Iterator[str]:
    yield from options(openway, "openway", None)
    keys = {
        text_of(key)
        for name in ("print_json", "print_json_line")
        for call in calls(name)
        for each in call.args
        if isinstance(each, ast.Dict)
        for key in each.keys
    }
    yield line("json", "of the command line's own", sorted(keys - {"*"}))
    yield line("json", "demo --city", (each.name for each in dataclasses.fields(CityReport)))


def options(command: click.Command, path: str, above: click.Context | None) -> Iterator[str]:
    context = click.Context(command, info_name=path.rpartition(" ")[2], parent=above)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from options(found, f"{path} {name}", context)
        return
    names = (
        max(each.opts, key=len) if isinstance(each, click.Option) else each.human_readable_name
        for each in command.params
    )
    yield line("command", path, sorted(names))


def calls(name: str) -> Iterator[ast.Call]:
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if f"{name}(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call):
                called = node.func
                if name == getattr(called, "attr", getattr(called, "id", None)):
                    yield node


def text_of(node: ast.expr | None) -> str:
    """A text of the source; what varies in it is a star."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part) for part in parts)
        case ast.FormattedValue(value=ast.IfExp(body=one, orelse=other)):
            return f"{text_of(one)}|{text_of(other)}"
        case _:
            return "*"


def line(kind: str, name: str, words: Iterable[Any]) -> str:
    return f"{kind} {name}: {' '.join(map(str, words))}".rstrip()


@pytest.mark.parametrize(
    "made", [routes, bodies, exports, event_types, command_line], ids=lambda made: made.__name__
)
def test_no_public_name_changes_unseen(made: Any) -> None:
    found = sorted({*made()})
    kinds = {each.partition(" ")[0] for each in found}
    known = sorted(each for each in listed() if each.partition(" ")[0] in kinds)
    assert found == known, "a public name changed: write it into CHANGELOG.md and " + LIST.name


def test_the_table_of_publications_has_every_type_and_its_members() -> None:
    heading, *rows = publications()
    assert heading == ("type", "when", "members of data")
    shown = {_stars(name): members for name, _, members in rows}
    in_code = [each.removeprefix("event ").split(": ") for each in listed() if _event(each)]
    assert set(shown) == {name.rstrip(":") for name, *_ in in_code}
    for name, *members in in_code:
        if members and not name.startswith("openway.command."):
            assert shown[name] == members[0]


def _event(listed_line: str) -> bool:
    return listed_line.startswith("event ")


def _stars(name: str) -> str:
    """A type as the list has it: `<held or released>` varies there too."""
    inner = name.partition("<")[2].rstrip(">")
    if name in IN_THE_LIST:
        return IN_THE_LIST[name]
    return name.replace(f"<{inner}>", "*") if inner else name


IN_THE_LIST = {
    "openway.head_end.<silent or silence_over>": "openway.head_end.silent|silence_over",
    "openway.outage.<began or ended>": "openway.outage.ended|began",
}


def test_the_list_has_nothing_else() -> None:
    kinds = {"route", "fields", "words", "columns", "lines", "event", "command", "json"}
    assert {each.partition(" ")[0] for each in listed()} == kinds
    assert len(listed()) == len(set(listed()))


def main() -> None:
    """Write the list as it is now: `python -m tests.web.test_public_names`."""
    head = "".join(f"# {each}\n" for each in HEAD)
    made = (routes, bodies, exports, event_types, command_line)
    parts = ["\n".join(sorted({*each()})) for each in made]
    LIST.write_text(head + "\n" + "\n\n".join(parts) + "\n", encoding="utf-8")


HEAD = (
    "The public names: what programs of others lean on. tests/web/test_public_names.py compares.",
    "A change needs a line in CHANGELOG.md and one here (python -m tests.web.test_public_names).",
    "route METHOD PATH: operation, parameters | fields STRUCT | words SET",
    "columns EXPORT: name:form | lines ROUTE: columns | event TYPE: members of data",
    "command NAME: options | json: members",
)

if __name__ == "__main__":
    main()
