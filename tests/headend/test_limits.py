"""Our own limits, on a clock turned by hand; only the waiting itself uses the event loop."""

import asyncio
from collections.abc import Callable
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.commands.flows import Operation
from adapter.errors import NotSent, OutcomeUnknown, Refused, SettingsError
from adapter.headend.backoff import Denied
from adapter.headend.client import HeadEndClient
from adapter.headend.limits import Admission, Limits
from adapter.headend.settings import Limit, LimitSettings, Timeouts
from tests.headend.bad_head_ends import Peer, Seen, Server, http
from tests.headend.calls_and_replies import DISCONNECT, PING, fault, ping_reply, settings, the_wire

P, D = Operation.PING, Operation.DISCONNECT_METER


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def limits(**changes: object) -> tuple[Limits, Clock]:
    clock = Clock()
    return Limits(LimitSettings(**changes), clock=clock), clock  # type: ignore[arg-type]


def place(outcome: Admission | Denied) -> Admission:
    assert isinstance(outcome, Admission), outcome
    return outcome


def denial(outcome: Admission | Denied) -> Denied:
    assert isinstance(outcome, Denied)
    return outcome


def test_concurrency_is_held_and_a_released_place_can_be_taken() -> None:
    ours, _ = limits(concurrency=2)
    first = place(ours.try_admit(P, "urgent"))
    place(ours.try_admit(P, "urgent"))
    assert denial(ours.try_admit(P, "urgent")).retry_after_s is None
    first.release()
    first.release()
    place(ours.try_admit(P, "urgent"))
    assert ours.state().in_flight == 2


def test_less_urgent_classes_leave_places_to_more_urgent_ones() -> None:
    ours, _ = limits(concurrency=8)
    for _ in range(4):
        place(ours.try_admit(P, "bulk"))
    denial(ours.try_admit(P, "bulk"))
    denial(ours.try_admit(P, "a class nobody configured"))
    for _ in range(2):
        place(ours.try_admit(P, "normal"))
    denial(ours.try_admit(P, "normal"))
    for _ in range(2):
        place(ours.try_admit(P, "urgent"))
    denial(ours.try_admit(P, "urgent"))


def test_an_operation_may_have_a_limit_of_its_own() -> None:
    ours, clock = limits(
        concurrency=8,
        operations=MappingProxyType({D: Limit(concurrency=1), P: Limit(rate_per_s=2.0)}),
    )
    disconnect = place(ours.try_admit(D, "urgent"))
    assert "ControlService.DisconnectMeter" in denial(ours.try_admit(D, "urgent")).reason
    disconnect.release()
    place(ours.try_admit(D, "urgent"))
    place(ours.try_admit(P, "urgent"))
    assert denial(ours.try_admit(P, "urgent")).retry_after_s == pytest.approx(0.5)
    clock.now += 0.5
    place(ours.try_admit(P, "urgent"))


def test_the_rate_allows_its_burst_and_then_its_pace() -> None:
    ours, clock = limits(concurrency=100, rate_per_s=10.0, burst=4)
    for _ in range(4):
        place(ours.try_admit(P, "urgent")).release()
    assert denial(ours.try_admit(P, "urgent")).retry_after_s == pytest.approx(0.1)
    clock.now += 0.1
    place(ours.try_admit(P, "urgent"))
    denial(ours.try_admit(P, "urgent"))
    clock.now += 1000
    for _ in range(4):
        place(ours.try_admit(P, "urgent"))
    denial(ours.try_admit(P, "urgent"))


def test_the_saved_up_rate_is_kept_for_the_urgent() -> None:
    ours, _ = limits(concurrency=100, rate_per_s=1.0, burst=10)
    for _ in range(5):
        place(ours.try_admit(P, "bulk"))
    denial(ours.try_admit(P, "bulk"))
    for _ in range(5):
        place(ours.try_admit(P, "urgent"))


@given(
    steps=st.lists(st.tuples(st.floats(0, 2), st.sampled_from(["urgent", "bulk"])), max_size=60),
    rate=st.floats(0.5, 20),
    burst=st.integers(1, 10),
)
def test_never_more_than_burst_and_rate_together_allow(
    steps: list[tuple[float, str]], rate: float, burst: int
) -> None:
    ours, clock = limits(concurrency=1000, rate_per_s=rate, burst=burst)
    begin, admitted = clock.now, 0
    for wait_s, priority in steps:
        clock.now += wait_s
        admitted += isinstance(ours.try_admit(P, priority), Admission)
        assert admitted <= burst + (clock.now - begin) * rate + 1e-6


def test_a_clock_that_goes_back_neither_blocks_nor_gives_away() -> None:
    ours, clock = limits(concurrency=100, rate_per_s=1.0, burst=1)
    place(ours.try_admit(P, "urgent"))
    clock.now -= 50
    denial(ours.try_admit(P, "urgent"))
    clock.now += 51
    place(ours.try_admit(P, "urgent"))


@pytest.mark.parametrize(
    ("named", "bad"),
    [
        ("concurrency", lambda: LimitSettings(concurrency=0)),
        ("rate_per_s", lambda: LimitSettings(rate_per_s=0.0)),
        ("burst", lambda: Limit(rate_per_s=1.0, burst=0)),
        ("shares", lambda: LimitSettings(shares={})),
        ("shares", lambda: LimitSettings(shares={"urgent": 1.5})),
        ("breaker", lambda: LimitSettings(breaker_unknown=0)),
        ("reply_s", lambda: Timeouts(reply_s=0.0)),
        ("total_s", lambda: Timeouts(total_s=float("nan"))),
    ],
)
def test_a_limit_that_would_be_none_or_block_for_ever_stops_the_start(
    named: str, bad: Callable[[], object]
) -> None:
    with pytest.raises(SettingsError, match=named):
        bad()


def pushed_back(ours: Limits, admission: Admission) -> None:
    with admission:
        admission.answered(fault="TooManyConcurrentRequestsFault")


def test_push_back_halves_concurrency_once_a_round_and_success_brings_it_back() -> None:
    ours, clock = limits(concurrency=16, pushback_pause_s=1.0)
    under_way = [place(ours.try_admit(P, "urgent")) for _ in range(16)]
    clock.now += 0.1
    for each in under_way:
        pushed_back(ours, each)
    assert ours.state().concurrency == 8
    assert "pause" in denial(ours.try_admit(P, "urgent")).reason
    clock.now += 1.0
    for _ in range(200):
        with place(ours.try_admit(P, "urgent")) as admission:
            admission.answered()
    assert ours.state().concurrency == 16


def test_push_back_that_goes_on_pauses_longer_and_ends_at_one_at_a_time() -> None:
    ours, clock = limits(concurrency=16, pushback_pause_s=1.0, pushback_longest_s=5.0)
    pauses = []
    for _ in range(6):
        clock.now += 0.01
        pushed_back(ours, place(ours.try_admit(P, "urgent")))
        pauses.append(round(ours.state().paused_for_s, 3))
        clock.now += ours.state().paused_for_s
    assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
    assert ours.state().concurrency == 1
    place(ours.try_admit(P, "bulk"))


def failed(ours: Limits, *, sent: bool = False) -> None:
    with place(ours.try_admit(P, "urgent")) as admission:
        admission.failed(sent=sent)


def test_the_breaker_opens_after_failures_in_a_row_and_lets_one_probe_through() -> None:
    ours, clock = limits(breaker_not_sent=3, breaker_open_s=2.0, breaker_longest_s=5.0)
    for _ in range(3):
        failed(ours)
    assert denial(ours.try_admit(P, "urgent")).retry_after_s == pytest.approx(2.0)
    clock.now += 2.0
    probe = place(ours.try_admit(P, "bulk"))
    assert "probed" in denial(ours.try_admit(P, "urgent")).reason
    probe.failed(sent=False)
    probe.release()
    assert denial(ours.try_admit(P, "urgent")).retry_after_s == pytest.approx(4.0)
    clock.now += 4.0
    with place(ours.try_admit(P, "urgent")) as probe:
        probe.answered(fault="MeterNotFoundFault")
    assert not ours.state().breaker_open
    place(ours.try_admit(P, "urgent"))


def test_a_success_between_failures_keeps_the_breaker_closed() -> None:
    ours, _ = limits(breaker_not_sent=2, breaker_unknown=2)
    for _ in range(5):
        failed(ours)
        with place(ours.try_admit(P, "urgent")) as admission:
            admission.answered()
        failed(ours, sent=True)
    assert not ours.state().breaker_open


def test_outcomes_that_stay_unknown_open_the_breaker_too() -> None:
    ours, _ = limits(breaker_unknown=3)
    for _ in range(3):
        failed(ours, sent=True)
    assert ours.state().breaker_open


def test_a_probe_that_is_given_up_makes_room_for_the_next() -> None:
    ours, clock = limits(breaker_not_sent=1, breaker_open_s=1.0)
    failed(ours)
    clock.now += 1.0
    place(ours.try_admit(P, "urgent")).release()
    place(ours.try_admit(P, "urgent"))


async def test_waiting_calls_are_served_most_urgent_first_then_longest_waiting() -> None:
    served: list[str] = []
    ours, _ = limits(concurrency=1)
    first = place(ours.try_admit(P, "urgent"))

    async def one(name: str, operation: Operation, priority: str) -> None:
        with await ours.admit(operation, priority, wait_s=5.0):
            served.append(name)

    tasks = []
    for name, operation, priority in (
        ("bulk", P, "bulk"),
        ("normal 1", P, "normal"),
        ("normal 2", D, "normal"),
        ("normal 3", P, "normal"),
        ("urgent", D, "urgent"),
    ):
        tasks.append(asyncio.ensure_future(one(name, operation, priority)))
        await asyncio.sleep(0)
    assert ours.state().waiting == 5
    first.release()
    await asyncio.gather(*tasks)
    assert ours.state().waiting == 0
    assert ours.state().in_flight == 0
    assert served == ["urgent", "normal 1", "normal 2", "normal 3", "bulk"]


async def test_waiting_ends_when_told_and_leaves_nothing_behind() -> None:
    ours, _ = limits(concurrency=1, max_waiting=2)
    held = place(ours.try_admit(P, "urgent"))
    with pytest.raises(NotSent, match="over our own limit: concurrency"):
        await ours.admit(P, wait_s=0.02)
    with pytest.raises(NotSent):
        await ours.admit(P, wait_s=0.0)
    waiting = [asyncio.ensure_future(ours.admit(P, wait_s=5.0)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(NotSent, match="too many"):
        await ours.admit(P, wait_s=5.0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert ours.state().waiting == 0
    held.release()
    assert ours.state().in_flight == 0


async def test_a_place_given_in_the_moment_of_cancelling_is_not_lost() -> None:
    ours, _ = limits(concurrency=1)
    held = place(ours.try_admit(P, "urgent"))
    waiting = asyncio.ensure_future(ours.admit(P, wait_s=5.0))
    await asyncio.sleep(0)
    held.release()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ours.state().in_flight == 0


async def test_a_call_that_waits_for_the_rate_is_woken_by_time() -> None:
    loop = asyncio.get_running_loop()
    ours = Limits(LimitSettings(rate_per_s=50.0, burst=1), clock=loop.time)
    begin = loop.time()
    for _ in range(4):
        (await ours.admit(P, "urgent", wait_s=2.0)).release()
    assert loop.time() - begin >= 0.055


@pytest.mark.seconds(20.0)
async def test_ten_thousand_waiting_calls_are_served_without_looking_at_each_other() -> None:
    ours, _ = limits(concurrency=4, max_waiting=10_000)

    async def one(number: int) -> None:
        priority = ("urgent", "normal", "bulk")[number % 3]
        with await ours.admit(P if number % 2 else D, priority, wait_s=300.0):
            await asyncio.sleep(0)

    await asyncio.gather(*(one(number) for number in range(10_000)))
    assert ours.state().in_flight == 0


async def test_the_client_slows_down_when_the_head_end_says_too_many() -> None:
    async def busy(peer: Peer, seen: Seen) -> None:
        await peer.send(http(500, fault("TooManyConcurrentRequestsFault")))

    async with Server(busy) as server:
        async with HeadEndClient(settings(server.url), the_wire()) as client:
            with pytest.raises(Refused) as caught:
                await client.call(DISCONNECT)
            assert caught.value.fault.name == "TooManyConcurrentRequestsFault"
            assert client.limits.state().concurrency == 8
            assert client.limits.state().paused_for_s > 0
        assert len(server.seen) == 1


async def test_the_client_stops_knocking_at_a_door_that_is_shut() -> None:
    site = settings(
        "http://127.0.0.1:1",
        limits=LimitSettings(breaker_not_sent=2, breaker_open_s=60.0),
        timeouts=Timeouts(admission_s=0.05),
    )
    async with HeadEndClient(site, the_wire()) as client:
        for _ in range(2):
            with pytest.raises(NotSent, match="no connection"):
                await client.call(PING)
        with pytest.raises(NotSent, match="over our own limit: the head end cannot be reached"):
            await client.call(PING)


async def test_an_admission_taken_beforehand_is_used_up_by_the_call_however_it_ends() -> None:
    requests: list[Seen] = []

    async def first_only(peer: Peer, seen: Seen) -> None:
        if len(requests) == 1:
            await peer.send(http(200, ping_reply()))
        else:
            peer.writer.close()

    async with (
        Server(first_only, seen=requests) as server,
        HeadEndClient(settings(server.url), the_wire()) as client,
    ):
        admission = place(client.limits.try_admit(P, "urgent"))
        assert client.limits.state().in_flight == 1
        await client.call(PING, admission=admission)
        assert client.limits.state().in_flight == 0
        granted = await client.admit(P, "urgent", wait_s=1.0)
        with pytest.raises(OutcomeUnknown):
            await granted.call(PING)
        assert client.limits.state().in_flight == 0
        granted.release()
        unused = await client.admit(P, "urgent", wait_s=1.0)
        unused.release()
        assert client.limits.state().in_flight == 0
    assert len(requests) == 2


def called(ours: Limits, clock: Clock, *took_s: float, operation: Operation = P) -> None:
    for each in took_s:
        admission = place(ours.try_admit(operation))
        clock.now += each
        admission.answered()
        admission.release()


def test_three_slow_answers_in_a_row_are_told_and_three_quick_ones() -> None:
    ours, clock = limits(slow_s=2.0)
    told: list[tuple[str, object]] = []
    ours.told = lambda news, fields: told.append((news, fields["took_s"]))
    called(ours, clock, 3.0, 3.0, 1.0, 3.0, 3.0)
    assert (told, ours.state().slow) == ([], False)
    called(ours, clock, 4.0, 5.0, 1.0, 1.0, 6.0, 1.0, 1.0)
    assert (told, ours.state().slow) == ([("head_end_slow", 4.0)], True)
    called(ours, clock, 0.5)
    assert (told[1:], ours.state().slow) == ([("head_end_quick", 0.5)], False)


def test_provisioning_may_take_its_time() -> None:
    ours, clock = limits(slow_s=2.0)
    called(ours, clock, *[60.0] * 5, operation=Operation.ADD_METER_DEFINITIONS)
    assert not ours.state().slow
