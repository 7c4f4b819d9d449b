"""`openway service-points`: the service points of a running gateway."""

import click

from adapter.cli.client import Json, fields, items, segment
from adapter.cli.output import (
    Row,
    as_json,
    columns,
    paged,
    print_fields,
    print_json,
    print_rows,
    print_text,
    show_list,
)
from adapter.cli.session import Session, with_session


def _on(row: Row, name: str) -> str:
    return "on" if fields(row.get(name)).get("on") else "off"


POINTS = columns(
    "service point",
    ("service point", "id"),
    ("supply", lambda row: _supply(row)),
    ("since", "supply.since"),
    ("by", "supply.by"),
    ("source", lambda row: _on(row, "source")),
    "device",
    "install_status",
    ("restriction", lambda row: _restriction(row)),
)
DEVICES = columns(
    "device",
    "device status installed_at removed_at",
    ("switch", lambda row: _on(row, "switch") if row.get("switch") else None),
    ("since", "switch.since"),
    ("by", "switch.by"),
    ("cause", "switch.cause"),
)
SWITCHED = columns("entry/entries", "device at", ("switch", "on"), "by cause")
ORDERS = columns("order", "id kind state created_at requester reference")
CHANGES = columns("entry/entries", "seq at actor action detail")


def _supply(row: Row) -> str:
    """Armed: on once people close the switch."""
    supply = _on(row, "supply")
    return "armed" if row.get("armed") and supply == "on" else supply


def _restriction(row: Row) -> str:
    names = {"protected": "protected", "life_support": "life support"}
    return ", ".join(text for name, text in names.items() if row.get(name))


@click.group(name="service-points")
def service_points() -> None:
    """Look at service points: connected or not, since when and by what; what is there."""


_YES_NO = click.Choice(["true", "false"])


@service_points.command(name="list")
@click.option("--supplied", type=_YES_NO, help="Only where supply gets through, or does not.")
@click.option("--connected", type=_YES_NO, help="Only of this source status.")
@click.option("--bare", type=_YES_NO, help="Only without a device, or with one.")
@click.option("--sp-type", help="Only of this type.")
@paged()
@as_json
@with_session
def list_(session: Session, /, as_json: bool, **query: object) -> None:
    """List service points with whether supply gets through."""
    show_list(session.client.get("/service-points", query), POINTS, as_json=as_json)


@service_points.command()
@click.argument("service_point")
@as_json
@with_session
def show(session: Session, service_point: str, as_json: bool) -> None:
    """Show one: supply, the devices that are and were there, orders, what has changed."""
    found = fields(session.client.get(f"/service-points/{segment(service_point)}"))
    if as_json:
        print_json(found)
        return
    lists = ("supply", "source", "devices", "orders", "changes")
    for name in ("supply", "source"):
        print_fields({name: _told(fields(found[name]))})
    print_fields({name: value for name, value in found.items() if name not in lists})
    devices = items(found["devices"])
    history: list[dict[str, Json]] = [
        {**entry, "device": row["device"], "on": "on" if entry.get("on") else "off"}
        for row in devices
        for entry in items(row.get("history"))
    ]
    for title, shown, rows in (
        ("devices", DEVICES, devices),
        ("switched", SWITCHED, history),
        ("orders", ORDERS, items(found["orders"])),
        ("changes", CHANGES, items(found["changes"])),
    ):
        if rows:
            print_text(f"\n{title}")
            print_rows(shown, rows)


def _told(switching: dict[str, Json]) -> str:
    """As `off since 2026-03-01T12:00:00Z by command 01h...`."""
    told = ["on" if switching.get("on") else "off"]
    if switching.get("since"):
        told.append(f"since {switching['since']}")
    if switching.get("by"):
        told.append(f"by {switching['by']}")
    if switching.get("cause"):
        told.append(str(switching["cause"]))
    return " ".join(told)
