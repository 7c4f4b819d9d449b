"""What a run leaves: RESULTS.md to read, results.json to compare, results.svg to look at.

A run of some parts takes the place of these parts alone; every part says when, where and at which
commit it was measured. What was tried and dropped is written by
hand, in tried.md, and put in as it is.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.picture import draw
from bench.report import FIGURE_COLUMNS, Part, part_of

HERE: Final = Path(__file__).parent
TRIED: Final = "tried.md"
_HEAD: Final = """\
# Results

Written by `python -m bench`, not to be edited, but for what was tried, which is in `tried.md`. Read
the ratios: both sides of each were measured in the same rounds, in turns, and the median of the
rounds is told. CPU is user and system time of one process; `/s` and `ms` are of this machine.
"""
_PICTURE: Final = "![rate, latency and CPU over load, and CPU over open commands](results.svg)"


def write(
    measured: Mapping[str, Part], around: Mapping[str, Mapping[str, str]], folder: Path = HERE
) -> None:
    """`around` is the machine and how it was run, by part."""
    file = folder / "results.json"
    kept: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for name, part in measured.items():
        kept[name] = {"around": dict(around[name]), **part.plain()}
    file.write_text(json.dumps(_rounded(kept), indent=1) + "\n")
    parts = {name: part_of(plain) for name, plain in kept.items()}
    curves = [curve for part in parts.values() for curve in part.curves]
    tried = folder / TRIED
    text = _text(
        parts,
        {name: plain["around"] for name, plain in kept.items()},
        tried.read_text() if tried.exists() else "",
    )
    (folder / "RESULTS.md").write_text(text)
    draw(curves, folder / "results.svg")


def _rounded(value: Any) -> Any:
    """Six digits: more of a measurement are noise."""
    match value:
        case dict():
            return {key: _rounded(each) for key, each in value.items()}
        case list() | tuple():
            return [_rounded(each) for each in value]
        case float():
            return float(f"{value:.6g}")
    return value


def _text(parts: Mapping[str, Part], around: Mapping[str, Mapping[str, str]], tried: str) -> str:
    lines = [_HEAD]
    if any(part.curves for part in parts.values()):
        lines += [_PICTURE, ""]
    rows = [(name, *each.cells) for name, part in parts.items() for each in part.figures]
    lines += ["## Figures", "", *_table(("part", *FIGURE_COLUMNS), rows)]
    for name, part in parts.items():
        lines += ["", f"## {part.title} (`{name}`)"]
        if part.notes:
            lines += ["", *(f"- {note}" for note in part.notes)]
        for details in part.details:
            lines += ["", f"{details.title}:", "", *_table(details.columns, details.rows)]
    if tried:
        lines += ["", tried.rstrip()]
    lines += ["", "## Machine", "", *_machines(around)]
    return "\n".join(lines) + "\n"


def _machines(around: Mapping[str, Mapping[str, str]]) -> list[str]:
    names = list(dict.fromkeys(key for each in around.values() for key in each))
    rows = [(key, *(each.get(key, "") for each in around.values())) for key in names]
    same = [(row[0], row[1]) for row in rows if len(set(row[1:])) == 1]
    other = [row for row in rows if len(set(row[1:])) > 1]
    lines = _table(("all parts", ""), same)
    return [*lines, "", *_table(("part", *around), other)] if other else lines


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"

    return [line(columns), line(["---"] * len(columns)), *map(line, rows)]
