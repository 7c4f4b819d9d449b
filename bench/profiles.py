"""What a day brings, as a profile: what is asked for, how fast, and what else goes on meanwhile.

storm             after an outage: 1,000 status checks at once, and 5,000 status messages of other
                  requests over 32 connections
nightly           the night's readings, 20 MB in one message, while five status checks a second
                  go on
bulk-disconnect   300 disconnects at once, and a connect every quarter of a second meanwhile
steady            20 commands a second for 15 s: status checks, load checks, disconnects
"""

import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.commands import gateway, head_end
from bench.payloads import INTERVALS, write_payload
from bench.processes import Side, side
from bench.report import Details, Figure, Part, Ran, shown
from bench.rounds import Options, check
from bench.sides.head_end import DELAYS_S

_PAYLOAD: Final = 20_000_000
_MESSAGES: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """`work` is what a gateway process is asked to run, all of it at the same time."""

    name: str
    work: tuple[dict[str, Any], ...]
    meanwhile: Callable[[Side, Options], str] | None = None


def _work(kind: str, count: int, first: int, **pace: float) -> dict[str, Any]:
    return {"kind": kind, "count": count, "first": first, **pace}


def measure(options: Options) -> Part:
    """Every profile once, or those that are named, in so many rounds."""
    part = Part(title="Profiles")
    rounds = options.rounds if options.profiles else 1
    for name in options.profiles or NAMES:
        profile = _PROFILES[name]
        answers = [_run(profile, options, part) for _ in range(rounds)]
        _details(profile, answers, part)
        _figures(profile, answers, part)
    return part


def _run(profile: Profile, options: Options, part: Part) -> dict[str, Any]:
    """In a store of its own: what the gateway's process answered."""
    works = [{**each, "count": options.some(each["count"], least=5)} for each in profile.work]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        asked = stack.enter_context(head_end(*DELAYS_S))
        ours = stack.enter_context(gateway(asked, folder / "store"))
        told: list[str] = []
        beside = threading.Thread(target=_meanwhile, args=(profile, ours, options, told))
        beside.start()
        answer = ours.ask(do="run", work=works)
        beside.join()
        check(answer)
    part.notes += [f"{profile.name}: {line}" for line in told]
    return answer


def _details(profile: Profile, answers: list[dict[str, Any]], part: Part) -> None:
    rows = []
    for number, each in enumerate(profile.work):
        latencies = [one for answer in answers for one in answer["latencies"][number]]
        ran = Ran(count=len(latencies), seconds=1.0, cpu_s=1.0, latencies=latencies)
        cells = (ran.latency_ms(0.50), ran.latency_ms(0.99), max(latencies) * 1000)
        rows.append((each["kind"], str(ran.count), *map(shown, cells)))
    columns = ("command", "count", "p50 ms", "p99 ms", "max ms")
    part.details.append(Details(title=f"Profile {profile.name}", columns=columns, rows=rows))


def _figures(profile: Profile, answers: list[dict[str, Any]], part: Part) -> None:
    count = [sum(map(len, answer["latencies"])) for answer in answers]
    seconds = [answer["seconds"] for answer in answers]
    cpu = [answer["cpu_s"] for answer in answers]
    name = profile.name
    part.figures += [
        Figure(
            what=f"{name}: commands a second",
            unit="/s",
            each=[n / s for n, s in zip(count, seconds, strict=True)],
        ),
        Figure(
            what=f"{name}: CPU of the gateway / time that passes",
            unit="ratio",
            each=[c / s for c, s in zip(cpu, seconds, strict=True)],
        ),
    ]


def _meanwhile(profile: Profile, ours: Side, options: Options, told: list[str]) -> None:
    if profile.meanwhile is not None:
        told.append(profile.meanwhile(ours, options))


def _messages(ours: Side, options: Options) -> str:
    count = options.some(_MESSAGES, least=100)
    with side("bench.sides.sender") as sender:
        answer = sender.ask(url=ours.ready["url"], count=count, connections=32, genuine=True)
    ran = Ran(count=count, seconds=answer["seconds"], cpu_s=1.0, latencies=answer["latencies"])
    return (
        f"{count:,} status messages of other requests meanwhile, {ran.per_second:,.0f} a second, "
        f"p99 {ran.latency_ms(0.99):,.0f} ms."
    )


def _readings(ours: Side, options: Options) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "payload.xml"
        meters = write_payload(path, options.some(_PAYLOAD, least=1_000_000), first=700_001)
        started = time.perf_counter()
        with open(path, "rb") as body:
            size = path.stat().st_size
            headers = {"Content-Type": "text/xml; charset=utf-8", "Content-Length": str(size)}
            url = f"{ours.ready['url']}/openway/data"
            asked = urllib.request.Request(url, data=body, headers=headers)
            with urllib.request.urlopen(asked, timeout=600) as answer:
                answer.read()
        answered = time.perf_counter() - started
    return (
        f"{size / 1e6:.0f} MB of readings meanwhile, {meters * INTERVALS:,} values of "
        f"{meters:,} meters, answered after {answered:.1f} s."
    )


_PROFILES: Final = {
    profile.name: profile
    for profile in (
        Profile(
            name="storm",
            work=(_work("device_status_check", 1_000, 0),),
            meanwhile=_messages,
        ),
        Profile(
            name="nightly",
            work=(_work("device_status_check", 75, 0, rate=5.0),),
            meanwhile=_readings,
        ),
        Profile(
            name="bulk-disconnect",
            work=(
                _work("remote_disconnect", 300, 0),
                _work("remote_connect", 20, 1_000, rate=4.0),
            ),
        ),
        Profile(
            name="steady",
            work=(
                _work("device_status_check", 225, 0, rate=15.0),
                _work("load_check", 45, 300, rate=3.0),
                _work("remote_disconnect", 30, 600, rate=2.0),
            ),
        ),
    )
}
NAMES: Final = tuple(_PROFILES)
