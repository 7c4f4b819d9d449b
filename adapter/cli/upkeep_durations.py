"""`openway durations`: how long calls, requests, results and arrivals took, by hour."""

from collections.abc import Mapping
from functools import partial
from typing import Final

import click

from adapter.cli.output import as_json, columns, show_list
from adapter.cli.session import Session, with_session
from adapter.cli.times import MOMENT
from adapter.cli.words import Word
from adapter.engine.upkeep.durations import Measure


def _seconds(row: Mapping[str, object], name: str) -> str:
    """To three digits: the classes that they are counted in are no finer."""
    value = row.get(name)
    if not isinstance(value, int | float):
        return ""
    return f"{float(f'{value:.3g}'):.9f}".rstrip("0").rstrip(".")


DURATIONS: Final = columns(
    "row",
    "hour measure name count",
    *(
        (f"{name} s", partial(_seconds, name=f"{name}_s"))
        for name in ("mean", "p50", "p95", "longest")
    ),
)


@click.command()
@click.option("--measure", type=Word([each.value for each in Measure]), help="Only this one.")
@click.option("--name", help="Only of this operation, kind of command, or route.")
@click.option("--from", "start", type=MOMENT, help="Hours from this one on; else the last day.")
@click.option("--to", "end", type=MOMENT, help="Hours before this one.")
@as_json
@with_session
def durations(session: Session, /, as_json: bool, **query: object) -> None:
    """How long things took, by hour, the newest first; in seconds."""
    asked = {"from": query.pop("start"), "to": query.pop("end"), **query}
    show_list(session.client.get("/durations", asked), DURATIONS, as_json=as_json)
