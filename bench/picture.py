"""One picture of a run: rate, latency and CPU over load, and CPU over open commands."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.report import Curve

_PANELS: Final = ("rate", "latency", "CPU over load", "CPU over open commands")


def draw(curves: Sequence[Curve], path: Path) -> None:
    """An SVG; nothing where there is no curve."""
    panels = {name: [each for each in curves if each.picture == name] for name in _PANELS}
    if any(panels.values()):
        _draw({name: several for name, several in panels.items() if several}, path)


def _draw(panels: Mapping[str, Sequence[Curve]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    # The same figures give the same bytes, with text that can be searched.
    mpl.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none"})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(panels), figsize=(4 * len(panels), 3.2), squeeze=False)
    for axis, (name, curves) in zip(axes[0], panels.items(), strict=True):
        for curve in curves:
            x, y = zip(*curve.points, strict=True)
            axis.plot(x, y, marker="o", label=curve.name)
        if min(x) == 0:
            axis.set_xscale("symlog", linthresh=100)  # which has a place for none
        else:
            axis.set_xscale("log")
        axis.set_title(name)
        axis.set_xlabel(curves[0].x)
        axis.set_ylabel(curves[0].y)
        if name == "latency":
            axis.set_yscale("log")
        else:
            axis.set_ylim(0, 1.1 * max(y for curve in curves for _, y in curve.points))
        axis.grid(alpha=0.3)
        if len(curves) > 1:
            axis.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
