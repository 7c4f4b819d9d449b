"""`openway demo --city N`: a city's day read by group, with its progress and the books after it."""

import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from adapter.cli.output import Exit, print_json, print_table, print_text, say

if TYPE_CHECKING:
    from adapter.demo.city import CityReport


def city_day(meters: int, keep: Path | None, *, as_json: bool) -> Exit:
    """Run it, in `keep` or a folder that is removed afterwards; what it found goes to the output,
    how far it is to standard error."""
    from adapter.demo.city import City, read_city
    from adapter.server import event_loop

    place = tempfile.TemporaryDirectory(prefix="openway-city-") if keep is None else None
    with nullcontext(keep) if place is None else place as folder:
        books = event_loop.run(read_city(City(meters=meters), Path(str(folder)), say))
    if as_json:
        print_json(as_values(books))
    else:
        _show(meters, books)
    return Exit.OK if books.agree else Exit.WITHOUT_SUCCESS


def as_values(books: "CityReport") -> dict[str, object]:
    """The books as JSON has them; energy as text, exact."""
    return {**msgspec.to_builtins(books), "agree": books.agree}


def _show(meters: int, books: "CityReport") -> None:
    ends, counts = books.ends, books.counts
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(books.reasons.items()))
    lines = (
        ("meters", f"{meters}"),
        ("read", f"{ends['succeeded']}"),
        ("failed", f"{ends['failed']} ({reasons or 'none'})"),
        ("missing", f"{ends['missing']}"),
        ("unknown", f"{ends['unknown']}"),
        ("sent twice, late", f"{books.doubled}, {books.late}"),
        ("payloads", f"{books.payloads}, {books.payload_bytes / 1e6:.1f} MB"),
        ("intervals", f"{counts['new']} stored, {counts['repeated']} came again"),
        ("kWh stored", f"{books.stored_kwh}"),
        ("kWh metered", f"{books.metered_kwh}"),
        ("compared one by one", f"{books.compared} meters, {books.disagreements} disagreements"),
        *((f"seconds, {name}", f"{seconds:.0f}") for name, seconds in books.seconds.items()),
    )
    for name, value in lines:
        print_text(f"{name:<24}{value}")
    rows = [(name, f"{used.cpu_s:.0f}", used.memory_mib) for name, used in books.used.items()]
    print_table(("process", "CPU seconds", "most memory, MiB"), rows, title="Until it was read")
    for text in books.differs:
        print_text(f"differs: {text}")
