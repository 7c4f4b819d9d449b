"""Events out: posted to a receiver beside a bare client, and by long poll beside the raw read.

The gateway is a process of its own, over a store of the events of commands that have ended; the
receiver and whoever polls are others.
"""

import http.client
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from bench.processes import Side, side
from bench.report import Figure, Part, Ran, comparison, ratios
from bench.rounds import Options, interleaved
from bench.sides.feed import AT_ONCE, TOKEN

_COUNT: Final = 6_000
_POLLED: Final = 60_000
_POST = "posted by the gateway: signed, in order, kept"
_BARE = "the same bodies by a bare aiohttp client"
_POLL = "long poll, 1,000 at a time"
_RAW = "the store's own read of them"


def measure(options: Options) -> Part:
    part = Part(title="Events out")
    _webhooks(options, part)
    _polls(options, part)
    return part


def _webhooks(options: Options, part: Part) -> None:
    count = options.some(_COUNT, least=300)
    with (
        tempfile.TemporaryDirectory() as folder,
        side("bench.sides.listeners", "fixed") as receiver,
        side("bench.sides.feed", folder, str(count), receiver.ready["url"]) as feed,
    ):
        sides: dict[str, Callable[[], Ran]] = {
            _POST: partial(_asked, feed, "post"),
            _BARE: partial(_asked, feed, "bare"),
        }
        ran = interleaved(sides, options.rounds)
    part.details.append(comparison(f"Events by webhook, {AT_ONCE} at once", ran))
    rate = ratios(ran[_POST], ran[_BARE], lambda one: one.per_second)
    what = "Webhook deliveries a second, to those of a bare client"
    part.figures.append(Figure(what=what, unit="ratio", each=rate, goal=0.4, more=True))
    cpu = ratios(ran[_POST], ran[_BARE], lambda one: one.cpu_ms)
    part.figures.append(
        Figure(what="CPU of a delivery, to the bare client's", unit="ratio", each=cpu)
    )


def _polls(options: Options, part: Part) -> None:
    count = options.some(_POLLED, least=3_000)
    with (
        tempfile.TemporaryDirectory() as folder,
        side("bench.sides.feed", folder, str(count), "http://127.0.0.1:9/") as feed,
    ):
        sides: dict[str, Callable[[], Ran]] = {
            _POLL: partial(_polled, feed),
            _RAW: partial(_asked, feed, "raw"),
        }
        ran = interleaved(sides, options.rounds)
    part.details.append(comparison("Events by long poll", ran))
    rates = [one.per_second for one in ran[_POLL]]
    figure = Figure(what="Events by long poll", unit="/s", each=rates, goal=20_000, more=True)
    part.figures.append(figure)
    raw = [one.per_second for one in ran[_RAW]]
    what = "Events by the store's own read"
    part.figures.append(Figure(what=what, unit="/s", each=raw, goal=100_000, more=True))
    cpu = [one.count / one.cpu_s for one in ran[_POLL]]
    what = "Events by long poll in a second of the gateway's CPU"
    part.figures.append(Figure(what=what, unit="/s", each=cpu, more=True))


def _asked(feed: Side, do: str) -> Ran:
    answer = feed.ask(do=do)
    return Ran(count=answer["count"], seconds=answer["seconds"], cpu_s=answer["cpu_s"])


def _polled(feed: Side) -> Ran:
    """All pages, one after the other, over one connection."""
    parts, cpu, began = urlsplit(feed.ready["url"]), feed.cpu_s, time.perf_counter()
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    after, count, more = "0", 0, True
    headers = {"Authorization": f"Bearer {TOKEN}"}
    while more:
        path = f"/api/v1/events?after={after}&limit=1000&wait=1"
        connection.request("GET", path, headers=headers)
        body = connection.getresponse().read()
        count += body.count(b'{"seq":')
        end = json.loads(b"{" + body[body.rindex(b'"next":') :])
        after, more = end["next"], end["more"] and count < feed.ready["count"]
    connection.close()
    seconds = time.perf_counter() - began
    return Ran(count=count, seconds=seconds, cpu_s=feed.cpu_s - cpu)
