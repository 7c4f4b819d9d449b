"""Looks at an installation, each in a thread of its own and for a bounded time."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from adapter.doctor.findings import Area, DoctorFinding


@dataclass(frozen=True, slots=True)
class Look:
    """What is looked at, and how; what it yields is kept also where it does not end."""

    area: Area
    at: Callable[[], Iterator[DoctorFinding]]


def look_at_all(looks: Sequence[Look], *, within_s: float) -> list[DoctorFinding]:
    """The findings, in the order of the looks. All begin at once; whoever has not ended after
    `within_s` seconds is left behind, and what it had found by then is told."""
    begun = [_Begun(look) for look in looks]
    end = time.monotonic() + within_s
    found: list[DoctorFinding] = []
    for each in begun:
        each.thread.join(max(0.0, end - time.monotonic()))
        found += list(each.found)
        if each.thread.is_alive():
            late = DoctorFinding.of("check_timed_out", area=each.look.area, seconds=within_s)
            found.append(late)
    return found


class _Begun:
    def __init__(self, look: Look) -> None:
        self.look = look
        self.found: list[DoctorFinding] = []
        self.thread = threading.Thread(target=self._run, daemon=True, name=f"doctor {look.area}")
        self.thread.start()

    def _run(self) -> None:
        try:
            for finding in self.look.at():
                self.found.append(finding)
        except Exception as error:  # whatever it was: the other looks are told all the same
            reason = f"{type(error).__name__}: {error}"
            area = self.look.area
            self.found.append(DoctorFinding.of("check_failed", area=area, reason=reason))
