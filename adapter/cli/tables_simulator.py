"""The simulator's tables: what can go wrong, its admin address, its TOML file."""

from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass

Lines = tuple[tuple[str, ...], ...]
"""A heading, then the rows."""


def effects() -> Lines:
    """What a script can do, one row an effect."""
    from adapter.simulator.faults import EFFECTS

    rows = ((e.value, row.stage.value, row.needs or "", row.meaning) for e, row in EFFECTS.items())
    return (("effect", "stage", "needs", "what the simulator does"), *rows)


def heard() -> Lines:
    """What a gateway says of each effect; nothing of what heals itself."""
    from adapter.engine.upkeep.signals import SIGNALS, Signal
    from adapter.simulator.faults import script_row
    from adapter.simulator.heard import HEARD

    def cells(effect: str) -> Iterator[str]:
        row = HEARD[effect]  # type: ignore[index]  # an Effect is its own text
        rest = {k: v for k, v in script_row(row.script).items() if k not in ("effect", "operation")}
        said = [SIGNALS[each] for each in Signal if each in row.said]
        yield effect
        yield ", ".join((row.script.operation, *(f"{k} = {v}" for k, v in rest.items())))
        yield row.kind
        yield ", ".join(f"`{each.log}`" for each in said)
        yield ", ".join(f'`signal="{each}"`' for each in Signal if each in row.said)
        yield ", ".join(f"`openway.{each.event}`" for each in said)
        yield ", ".join(f"`{each.todo}`" for each in said if each.todo is not None)

    heading = ("effect", "script", "strikes", "log line", "count", "event", "to do")
    return (heading, *(tuple(cells(effect)) for effect in HEARD))


def script_members() -> Lines:
    """What a script may say, with what it is when left out."""
    from adapter.simulator.faults import Script

    rows = ((item.name, _text(item.default)) for item in fields(Script))
    return (("member", "when left out"), *rows)


def admin() -> Lines:
    """Every route of the admin address."""
    from adapter.simulator.admin import ADMIN_ROUTES

    rows = ((f"{method} /admin{path}", meaning) for method, path, _, meaning in ADMIN_ROUTES)
    return (("route", "what it does"), *rows)


def simulator() -> Lines:
    """Every setting of the simulator's file, with its default."""
    from adapter.simulator.settings import SimulatorConfig

    return (("setting", "default"), *_settings(SimulatorConfig(), ""))


def _settings(section: object, start: str) -> Iterator[tuple[str, str]]:
    for item in fields(section):  # type: ignore[arg-type]  # a settings dataclass
        value = getattr(section, item.name)
        if is_dataclass(value):
            yield from _settings(value, f"{start}{item.name}.")
        elif item.name != "scripts":  # they stand as [[script]], and have a table of their own
            yield f"{start}{item.name}", _text(value)


def _text(value: object) -> str:
    if value is MISSING:
        return "needed"
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return ""
        case float():
            return f"{value:g}"
        case tuple() | list():
            return ", ".join(map(_text, value))
        case str() | int():
            return str(value)
        case dict():
            return ""
    return "" if not value else str(value)
