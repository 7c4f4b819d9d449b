"""How the bench makes a figure of rounds, and what it leaves behind."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.__main__ import PARTS, arguments, whole
from bench.counts import NAMES, Counts, least
from bench.files import HERE, TRIED, write
from bench.report import Curve, Details, Figure, Part, Ran, ratios
from bench.rounds import check, interleaved


def ran(cpu_s: float = 1.0, count: int = 10) -> Ran:
    return Ran(count=count, seconds=2.0, cpu_s=cpu_s, latencies=[0.001 * n for n in range(1, 101)])


def test_a_ratio_is_made_within_a_round_and_told_as_the_median_of_the_rounds() -> None:
    """One round in which the machine was busy takes both sides, or is out-voted."""
    ours = [ran(2.0), ran(200.0), ran(2.0)]
    theirs = [ran(1.0), ran(100.0), ran(4.0)]
    figure = Figure(
        what="CPU", unit="ratio", each=ratios(ours, theirs, lambda one: one.cpu_ms), goal=2.0
    )
    assert figure.value == 2.0
    assert figure.reached


def test_every_side_has_its_turn_in_every_round_and_another_is_first_each_time() -> None:
    order: list[str] = []

    def side(name: str) -> Callable[[], Ran]:
        def run() -> Ran:
            order.append(name)
            return ran()

        return run

    found = interleaved({name: side(name) for name in "abc"}, 3)
    assert {name: len(rans) for name, rans in found.items()} == {"a": 3, "b": 3, "c": 3}
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"  # the first turns are not counted


def test_a_command_that_did_not_succeed_ends_the_bench() -> None:
    check({"states": [{"completed succeeded": 3}]})
    with pytest.raises(SystemExit, match="discarded"):
        check({"states": [{"completed succeeded": 3}, {"discarded": 1}]})


def test_of_several_counts_the_least_is_believed() -> None:
    several = [Counts(**{name: float(n) for name in NAMES}) for n in (3, 1, 2)]
    assert least(several).commits == 1.0


def test_a_latency_is_not_above_the_longest() -> None:
    assert ran().latency_ms(0.99) <= 100.0
    assert ran().latency_ms(0.50) == pytest.approx(50.5)


def test_results_of_one_part_leave_those_of_another(tmp_path: Path) -> None:
    curve = Curve(picture="rate", name="gateway", x="at once", y="/s", points=[(1, 2), (64, 80)])
    first = Part(
        title="One command",
        figures=[Figure(what="CPU / aiohttp", unit="ratio", each=[9.0, 11.0, 10.0], goal=2.0)],
        details=[Details(title="Sides", columns=("what", "count"), rows=[("zeep", "3")])],
        curves=[curve],
        notes=["NO xmllint HERE"],
    )
    write({"commands": first}, {"commands": {"commit": "aaa", "Python": "3.11"}}, tmp_path)
    second = Part(title="Orders", figures=[Figure(what="CPU", unit="ms", each=[5.0])])
    write({"orders": second}, {"orders": {"commit": "bbb", "Python": "3.11"}}, tmp_path)
    text = (tmp_path / "RESULTS.md").read_text()
    assert "| commands | CPU / aiohttp | 10 | 9 to 11 | ratio | ≤ 2 | no |" in text
    assert "| orders | CPU | 5 |  | ms |  |  |" in text
    assert "- NO xmllint HERE" in text
    assert "| commit | aaa | bbb |" in text
    assert (
        json.loads((tmp_path / "results.json").read_text())["commands"]["figures"][0]["goal"] == 2
    )
    assert "at once" in (tmp_path / "results.svg").read_text()


def test_what_was_tried_is_in_the_results_as_it_was_written(tmp_path: Path) -> None:
    tried = (HERE / TRIED).read_text(encoding="utf-8")
    (tmp_path / TRIED).write_text(tried, encoding="utf-8")
    part = Part(title="Orders", figures=[Figure(what="CPU", unit="ms", each=[5.0])])
    for _ in range(2):
        write({"orders": part}, {"orders": {"Python": "3.11"}}, tmp_path)
    assert (tmp_path / "RESULTS.md").read_text().count(tried) == 1
    assert tried.startswith("## Tried and dropped\n")


def test_an_option_that_measures_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for given, problem in (
        (["reading"], "'reading' is none of commands"),
        (["--rounds", "0"], "--rounds: at least 1"),
        (["--scale", "0"], "--scale: more than 0"),
        (["--profile", "calm"], "invalid choice: 'calm'"),
    ):
        with pytest.raises(SystemExit):
            arguments(given)
        assert problem in capsys.readouterr().err


def test_only_a_whole_run_is_written_unasked() -> None:
    assert whole(arguments([]))
    for given in (["codec"], ["--scale", "0.1"], ["--rounds", "1"], ["--profile", "storm"]):
        assert not whole(arguments(given))


def test_contributing_names_every_part_of_the_bench() -> None:
    page = Path(__file__).parents[2].joinpath("CONTRIBUTING.md").read_text(encoding="utf-8")
    (named,) = re.findall(r"parts of the bench: ([^.]*)\.", page.replace("\n", " "))
    assert re.findall(r"`(\w+)`", named) == list(PARTS)
