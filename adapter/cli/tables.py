"""`openway tables`: the tables that decide, as README and docs/ show them."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import click

from adapter.cli.output import as_json, print_json, print_table, print_text
from adapter.cli.tables_diagrams import ARROWS, mermaid
from adapter.cli.tables_floors import contracts, floors
from adapter.cli.tables_names import names
from adapter.cli.words import Word
from adapter.errors import InvalidRequest

if TYPE_CHECKING:
    from adapter.export.columns import Column
    from adapter.model.state_machine import StateMachine


@dataclass(frozen=True, slots=True)
class TableShown:
    """One table: its title, its columns, its rows of text; or the diagram that is drawn of them."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    code_first: bool = False
    """Whether the first column is a name as programs write it."""
    diagram: str = ""

    def markdown(self) -> str:
        if self.diagram:
            return f"```mermaid\n{self.diagram}\n```"
        lines = [_line(self.columns), _line(("---",) * len(self.columns))]
        for first, *rest in self.rows:
            lines.append(_line((f"`{first}`" if self.code_first else first, *rest)))
        return "\n".join(lines)


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def flows() -> TableShown:
    """The command-flow table of the source, with the operation that carries each message."""
    from adapter.commands.flows import COMPLETION_TITLES, FLOWS, FlowMessage

    def message(given: FlowMessage | None) -> str:
        if given is None:
            return "N/A"
        return f"{given.title} ({given.business_object}): {given.operation.value}"

    return TableShown(
        "Command flows",
        (
            "kind",
            "command",
            "activity",
            "outbound communication",
            "result",
            "inbound",
            "completion event",
        ),
        tuple(
            (
                flow.kind.value,
                flow.title,
                flow.business_object,
                message(flow.request),
                message(flow.result),
                flow.notice or "N/A",
                "N/A"
                if flow.completion is None
                else f"{COMPLETION_TITLES[flow.completion]} ({flow.completion.value})",
            )
            for flow in FLOWS.values()
        ),
        code_first=True,
    )


def commands() -> TableShown:
    """The same in short: what is asked, by which operation, how the answer comes, what changes."""
    from adapter.commands.flows import FLOWS

    return TableShown(
        "Commands",
        ("kind", "command", "operation at the head end", "answer", "completion event"),
        tuple(
            (
                flow.kind.value,
                flow.title,
                flow.request.operation.value.partition(".")[2],
                "at once" if flow.result is None else "token, callback, result",
                "none" if flow.completion is None else flow.completion.value,
            )
            for flow in FLOWS.values()
        ),
        code_first=True,
    )


def installs() -> TableShown:
    from adapter.model.device import INSTALL_TRANSITIONS

    return TableShown(
        "Install events (arrows inferred)",
        ("status", "completion event", "status after"),
        tuple(
            (before.value, effect.value, after.value)
            for (before, effect), after in INSTALL_TRANSITIONS.items()
        ),
    )


def activity() -> TableShown:
    from adapter.commands.activity import State
    from adapter.commands.transitions import ACTIVITY_MACHINE

    return TableShown(
        "States of a command",
        ("state", "final", "may become"),
        tuple(
            (
                state.value,
                "yes" if state.final else "no",
                ", ".join(s.value for s in State if s in ACTIVITY_MACHINE.next_states(state)),
            )
            for state in State
        ),
    )


def communication() -> TableShown:
    """Without what is over: there every answer is taken and moves nothing."""
    from adapter.commands.activity import FINAL_COMMUNICATION
    from adapter.commands.communication import COMMUNICATION_MACHINE

    order = [state.value for state in COMMUNICATION_MACHINE.states]  # the same in every run
    moving = (row for row in _rows_of(COMMUNICATION_MACHINE) if row[0] not in FINAL_COMMUNICATION)
    rows = sorted(moving, key=lambda row: order.index(row[0]))
    return TableShown("States of a communication", _ARROW, tuple(rows))


def matrix() -> TableShown:
    """The orchestration matrix; `?` is the one cell that the source does not settle."""
    from adapter.orders.tables import matrix_lines

    heading, *rows = matrix_lines()
    return TableShown("Orchestration matrix", heading, tuple(rows))


def _of_orders(title: str, name: str) -> Callable[[], TableShown]:
    """A table that `adapter.orders.tables` makes, by its function's name."""

    def made() -> TableShown:
        from adapter.orders import tables

        return _shown(title, getattr(tables, name)())

    return made


def _of_simulator(title: str, name: str, *, code_first: bool = True) -> Callable[[], TableShown]:
    def made() -> TableShown:
        from adapter.cli import tables_simulator

        return _shown(title, getattr(tables_simulator, name)(), code_first=code_first)

    return made


def _of_commands(title: str, name: str, *, code_first: bool = True) -> Callable[[], TableShown]:
    def made() -> TableShown:
        from adapter.cli import tables_commands

        return _shown(title, getattr(tables_commands, name)(), code_first=code_first)

    return made


def _of_doctor() -> TableShown:
    from adapter.cli import tables_doctor

    return _shown("What the doctor finds", tables_doctor.findings(), code_first=True)


def _of_rest(title: str, name: str, *, code_first: bool = True) -> Callable[[], TableShown]:
    def made() -> TableShown:
        from adapter.cli import tables_rest

        return _shown(title, getattr(tables_rest, name)(), code_first=code_first)

    return made


def _shown(title: str, lines: Sequence[tuple[str, ...]], *, code_first: bool = False) -> TableShown:
    heading, *rows = lines
    return TableShown(title, heading, tuple(rows), code_first)


def import_() -> TableShown:
    from adapter.registry.csv_file import column_table

    return TableShown(
        "Columns of master data as CSV", ("column", "of", "cells"), tuple(column_table()), True
    )


def settings() -> TableShown:
    from adapter.service.settings_table import rows

    return TableShown(
        "Settings",
        ("setting", "type", "range", "default", "what it is"),
        tuple((row.name, row.type, row.range, row.default, row.help) for row in rows()),
        code_first=True,
    )


def reloaded() -> TableShown:
    from adapter.service.settings_changes import reloaded_rows

    return TableShown(
        "Settings that a reload takes",
        ("setting", "what it is"),
        tuple((row.name, row.help) for row in reloaded_rows()),
        code_first=True,
    )


def receivers() -> TableShown:
    from adapter.service.settings_table import receiver_rows

    return TableShown(
        "Settings of receivers of events",
        ("setting", "type", "range", "default", "what it is"),
        tuple((row.name, row.type, row.range, row.default, row.help) for row in receiver_rows()),
        code_first=True,
    )


def limits() -> TableShown:
    from adapter.service.settings_table import limit_rows

    return TableShown(
        "Settings of caps, of what is spread, and of quotas",
        ("setting", "type", "range", "default", "what it is"),
        tuple((row.name, row.type, row.range, row.default, row.help) for row in limit_rows()),
        code_first=True,
    )


def sections() -> TableShown:
    from adapter.service.settings_table import sections

    return TableShown(
        "Sections of the settings", ("section", "class", "file"), sections(), code_first=True
    )


def exits() -> TableShown:
    from adapter.cli.output import MEANING

    return TableShown(
        "Exit codes",
        ("code", "meaning"),
        tuple((str(code.value), meaning) for code, meaning in MEANING.items()),
    )


def values() -> TableShown:
    from adapter.export.columns import VALUES

    return _columns("Columns of exported measurements", VALUES)


def events() -> TableShown:
    from adapter.export.columns import EVENTS

    return _columns("Columns of exported events", EVENTS)


def views() -> TableShown:
    """What people may read of the store's files by SQL."""
    from adapter.store.readings.views import FILES, VIEWS

    rows = tuple((view, column, meaning, FILES[view]) for view, column, meaning in VIEWS)
    return TableShown("Views for people", ("view", "column", "meaning", "file"), rows, True)


def _columns(title: str, columns: "Sequence[Column]") -> TableShown:
    """What each form becomes: in Parquet, and in CSV where that is not plain text."""
    from adapter.export.columns import Form

    forms = {
        Form.TEXT: "string",
        Form.WORDS: "list of string; CSV: parted by blanks",
        Form.WHOLE: "int64",
        Form.NUMBER: "decimal128(38, 18), or string; CSV: exact text",
        Form.FLAG: "bool",
        Form.TIME: "timestamp(us, UTC); CSV: 2026-03-01T00:15:00.000000Z",
    }
    rows = tuple((each.name, forms[each.form], each.meaning) for each in columns)
    return TableShown(title, ("column", "type", "meaning"), rows, code_first=True)


MACHINES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "command": "adapter.commands.transitions:ACTIVITY_MACHINE",
        "communication": "adapter.commands.communication:COMMUNICATION_MACHINE",
        "completion": "adapter.commands.completion:COMPLETION_MACHINE",
        "order": "adapter.orders.lifecycle:ORDER_MACHINE",
        "request": "adapter.orders.maintenance:MAINTENANCE_MACHINE",
        "visit": "adapter.orders.field_activity:FIELD_MACHINE",
        "wait": "adapter.orders.waits:WAIT_MACHINE",
        "reply": "adapter.orders.replies:REPLY_MACHINE",
        "schedule": "adapter.schedules.schedule:SCHEDULE_MACHINE",
    }
)
"""Every state machine, and where it is."""


def state_machine(name: str) -> "StateMachine[Any, Any]":
    module, _, constant = MACHINES[name].partition(":")
    machine: StateMachine[Any, Any] = getattr(import_module(module), constant)
    return machine


def _drawn(name: str) -> Callable[[], TableShown]:
    """A state machine, to be drawn."""

    def made() -> TableShown:
        from adapter.model.state_machine import diagram

        machine = state_machine(name)
        title = f"State machine: {machine.name}"
        return TableShown(title, _ARROW, tuple(_rows_of(machine)), diagram=diagram(machine))

    return made


_ARROW: Final = ("state", "event", "may become")


def _rows_of(machine: "StateMachine[Any, Any]") -> Iterator[tuple[str, str, str]]:
    for (before, event), after in machine.arrows.items():
        names = ", ".join(state.value for state in machine.states if state in after)
        yield before.value, event.__name__, names


def _arrows(name: str) -> Callable[[], TableShown]:
    """A table that leads from a state to states, to be drawn."""

    def made() -> TableShown:
        arrows = ARROWS[name]()
        rows = tuple((before, ", ".join(after)) for before, after in arrows.items())
        title = f"States of {name}"
        return TableShown(title, ("state", "may become"), rows, diagram=mermaid(arrows))

    return made


TABLES: Final[Mapping[str, Callable[[], TableShown]]] = MappingProxyType(
    {
        "flows": flows,
        "failures": _of_commands("Failures", "failures", code_first=False),
        "outcomes": _of_commands("Outcomes of a command", "outcomes"),
        "resends": _of_commands("What is sent again", "resends"),
        "installs": installs,
        "activity": activity,
        "communication": communication,
        "matrix": matrix,
        "algorithms": _of_orders("Parameters of the algorithm types", "parameter_table"),
        "mnemonics": _of_orders("What a row may say", "mnemonic_table"),
        "elements": _of_orders("Elements of an order", "element_table"),
        "rows": _of_orders("Rows of the algorithms", "row_table"),
        "tasks": _of_orders("Field task types", "task_table"),
        "reasons": _of_orders("Cancel and reschedule reasons", "reason_table"),
        "orders": _of_orders("States of a service order", "transition_table"),
        "withdrawal": _of_orders("Cancel and update, by the child's status", "withdrawal_table"),
        "import": import_,
        "settings": settings,
        "reloaded": reloaded,
        "receivers": receivers,
        "limits": limits,
        "sections": sections,
        "exits": exits,
        "values": values,
        "views": views,
        "events": events,
        "publications": _of_commands("What is in the feed", "publications"),
        "signals": _of_commands("What is said, once when it matters", "signals", code_first=False),
        "metrics": _of_commands("What is measured", "metrics"),
        "spans": _of_commands("Spans of a trace", "spans"),
        "commands": commands,
        "routes": _of_rest("Routes of the REST interface", "routes"),
        "roles": _of_rest("Roles of a key", "roles"),
        "problems": _of_rest("Statuses of problems", "problems", code_first=False),
        "mistakes": _of_rest("Mistakes with their status", "mistakes", code_first=False),
        "errors": _of_rest("Error codes", "errors"),
        "findings": _of_doctor,
        "effects": _of_simulator("What a script of the simulator can do", "effects"),
        "heard": _of_simulator("What a gateway says of each effect", "heard"),
        "scripts": _of_simulator("Members of a script", "script_members"),
        "admin": _of_simulator("The simulator's admin address", "admin"),
        "simulator": _of_simulator("The simulator's settings", "simulator"),
    }
)


DIAGRAMS: Final[Mapping[str, Callable[[], TableShown]]] = MappingProxyType(
    {f"machine_{name}": _drawn(name) for name in MACHINES}
    | {f"machine_{name}": _arrows(name) for name in ARROWS}
)
"""The state machines as diagrams; `machines` prints all of them."""

_PLACE: Final = re.compile(r"(<!-- tables:(\w+) -->\n).*?(<!-- /tables:\2 -->)", re.DOTALL)
_OF_THE_CODE: Final[Mapping[str, Callable[[Path], Sequence[tuple[str, ...]]]]] = MappingProxyType(
    {"floors": floors, "contracts": contracts, "names": lambda root: names()}
)
"""Tables of the code itself, for pages of a clone; they are not among what decides."""


def filled(text: str, root: Path | None = None) -> str:
    """The text with every table that it has a place for, as `<!-- tables:flows -->` and its end.

    `root` is the clone, for the tables of the code itself. Raises InvalidRequest for a place of a
    table that there is not.
    """

    known = {**TABLES, **DIAGRAMS}

    def table(place: re.Match[str]) -> str:
        name = place[2]
        if name in _OF_THE_CODE:
            made = _shown(name, _OF_THE_CODE[name](root or Path()))
        elif name in known:
            made = known[name]()
        else:
            names = ", ".join((*known, *_OF_THE_CODE))
            raise InvalidRequest(f"tables:{name}", f"no such table; there are {names}")
        return f"{place[1]}{made.markdown()}\n{place[3]}"

    return _PLACE.sub(table, text)


@click.command()
@click.argument(
    "names",
    nargs=-1,
    type=Word([*TABLES, "machines", *DIAGRAMS]),
    metavar="[NAMES]...",
)
@click.option("--markdown", is_flag=True, help="Exactly as the pages embed them.")
@click.option(
    "--fill",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Write them to the places that a file, as README.md, has for them.",
)
@as_json
def tables(names: tuple[str, ...], markdown: bool, fill: tuple[Path, ...], as_json: bool) -> None:
    """Print the tables that decide: all of them, or NAMES.

    `machines` prints the state machines as Mermaid diagrams.
    """
    for page in fill:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
    if fill:
        return
    wanted = {name: made() for name, made in _wanted(names).items()}
    if as_json:
        print_json({name: list(_objects(shown)) for name, shown in wanted.items()})
    elif markdown:
        blocks = [
            shown.markdown() if len(wanted) == 1 else f"### {shown.title}\n\n{shown.markdown()}"
            for shown in wanted.values()
        ]
        print_text("\n\n".join(blocks))
    else:
        for shown in wanted.values():
            if shown.diagram:
                print_text(f"{shown.title}\n\n{shown.diagram}\n")
            else:
                print_table(shown.columns, shown.rows, title=shown.title)


def _wanted(names: tuple[str, ...]) -> Mapping[str, Callable[[], TableShown]]:
    """What is to be printed, in the order it was asked for; without names, every table."""
    found: dict[str, Callable[[], TableShown]] = {} if names else {**TABLES}
    for name in names:
        found.update(DIAGRAMS if name == "machines" else {name: {**TABLES, **DIAGRAMS}[name]})
    return found


def _objects(shown: TableShown) -> Iterator[dict[str, str]]:
    for row in shown.rows:
        yield dict(zip(shown.columns, row, strict=True))
