"""Blocks: one device's data cut into numbered parts, which may come in any order and call.

Whether numbers begin at 0 or 1 is not known, so a set of `TotalBlocks` different numbers is whole.
"""

from collections.abc import Iterable, Sequence

from adapter.readings.seeds import Normal, Part


def span_of(part: Part, normals: Sequence[Normal]) -> list[tuple[str, int, int, int, int]]:
    """(endpoint, total, block, start, end) of a part that is one of several blocks. The time of a
    register may lie far from the load profile that it comes with: intervals go before."""
    cut = [seed for seed in part.seeds if seed.blocks > 1]
    if not cut or not normals:
        return []
    timed = [normal for normal in normals if normal.seconds] or normals
    start = min(normal.start for normal in timed)
    end = max(normal.end for normal in timed)
    return [(part.identifier, cut[0].blocks, cut[0].block, start, end)]


def gaps(times: Iterable[int], *, start: int, end: int, step: int) -> list[tuple[int, int]]:
    """Periods of [start, end) without intervals: `times` are the ENDS of those that are there.

    All in one unit; `step` is the interval's length. Ends off the grid cover what they cover.
    """
    found: list[tuple[int, int]] = []
    covered = start
    for at in sorted(times):
        if at - step > covered:
            found.append((covered, min(at - step, end)))
        covered = max(covered, at)
        if covered >= end:
            break
    if covered < end:
        found.append((covered, end))
    return found
