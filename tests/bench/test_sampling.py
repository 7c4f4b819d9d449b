"""How the bench tells where CPU goes: threads by their clocks, areas by the innermost frame."""

import time
from importlib.util import find_spec

import pytest

from adapter.commands.flows import Operation
from adapter.wire.codec import packaged_codec
from bench.sampling import AREAS, CLIENT, ENGINE, LOOP, MAIN, SERVER, THREADS, XML, Sampler, area_of
from bench.where import gathered, medians

_LONGEST_S = 10.0
_TOKEN = "5b0c7e0e-6d0f-4a55-9a6e-2f6f4a1f0c11"


def test_every_area_is_of_modules_that_exist() -> None:
    assert [
        prefix
        for prefix, _ in AREAS
        if prefix not in {"__main__", "uvloop"} and find_spec(prefix) is None
    ] == []


def test_an_area_is_told_by_the_module_and_the_engine_by_each_of_its_own() -> None:
    for module, area in {
        "adapter.wire.forms": XML,
        "adapter.server.event_loop": LOOP,
        "asyncio.tasks": LOOP,
        "aiohttp.client_proto": CLIENT,
        "aiohttp.web_protocol": SERVER,
        "adapter.engine.commands.apply": f"{ENGINE}: apply",
        "aiohttp.streams": None,
        "json.decoder": None,
    }.items():
        assert area_of(module) == area, module


def test_cpu_is_put_down_to_its_thread_and_to_the_area_that_took_it() -> None:
    codec, sampler, end = packaged_codec(), Sampler(), time.process_time() + _LONGEST_S
    answer = codec.encode_response(Operation.PING, {"PingByEndpointsResult": {"Id": _TOKEN}})
    while True:
        sampler.start()
        for _ in range(1_000):
            codec.decode(answer, max_bytes=len(answer))
        found = sampler.stop()
        if found.areas.get(XML) or time.process_time() > end:
            break
    assert found.areas[XML] > 0.0
    assert found.samples >= 1
    assert tuple(found.threads) == THREADS
    assert sum(found.areas.values()) <= found.threads[MAIN]


def test_what_is_small_is_put_to_the_others_and_no_cpu_is_lost() -> None:
    rounds = [{"a": 1.0, "b": 300.0, "others": 2.0}, {"b": 100.0, "a": 1.0}, {"c": 1.0, "b": 200.0}]
    middle = medians(rounds)
    assert middle == {"a": 1.0, "b": 200.0, "others": 0.0, "c": 0.0}
    found = gathered(middle)
    assert found == pytest.approx({"b": 200.0, "others": 1.0})
    assert list(found) == ["b", "others"]
