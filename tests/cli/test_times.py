"""Times at the edges of the calendar are refused by every option, and nothing breaks on them."""

from collections.abc import Iterator

import click
import pytest

from adapter.cli import openway, run
from adapter.cli.output import Exit
from adapter.cli.times import MOMENT, TIME_OF_DAY, Moment
from tests.support import for_every

EDGES = (
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-14:00", "1899-12-31T23:59:59Z", "9000-01-01T00:00:00Z",
    "-800000d", "+99999999d", "+1e9d", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z", "2026-03-01T25:00:00Z", "2026-03-01", "٢٠٢٦-03-01T00:00:00Z", "",
)  # fmt: skip


def _options(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], str, int]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _options(command, *path, name)
        for each in command.params:
            if isinstance(each, click.Option) and isinstance(each.type, Moment):
                yield (*path, name), each.opts[0], each.nargs


OPTIONS = tuple(_options(openway))


@for_every("text", EDGES)
def test_a_time_at_the_edge_is_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter):
        MOMENT.convert(text, None, None)


def test_every_option_that_takes_a_time_refuses_it_by_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert len(OPTIONS) > 20
    for path, option, times in OPTIONS:
        code = run([*path, option, *[EDGES[1]] * times])
        told = capsys.readouterr().err
        assert (code, "Traceback" in told) == (Exit.INVALID, False), path
        assert f"{option}': must lie in the years 1900 to 8999" in told, path


def test_a_time_of_day_is_refused_by_name_with_an_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for text in ("25:00", "06:60", "06:00Z", "noon", ""):
        code = run(["schedule", "add", "all", "scalar", "--first", text])
        told = capsys.readouterr().err
        assert code == Exit.INVALID, text
        assert "--first': needs a time of day as 06:00" in told, text
    for text, found in (("06:00", "06:00:00"), ("23:59:30", "23:59:30")):
        assert TIME_OF_DAY.convert(text, None, None).isoformat() == found
