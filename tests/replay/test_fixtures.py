"""Every committed recording plays, always the same way, and shows what it says."""

import asyncio
import json
from collections.abc import Callable
from contextvars import Context
from typing import Any

import pytest

from adapter.commands.activity import State
from adapter.commands.flows import FLOWS, CommandKind
from adapter.replay.catalogue import scenarios
from adapter.replay.player import play
from adapter.replay.scenario import RecordedKind, read, read_scenario
from tests.replay.recordings import FIXTURES, codec, played, recording, sent
from tests.support import for_every

NAMES = sorted(
    file.parent.relative_to(FIXTURES).as_posix() for file in FIXTURES.rglob("scenario.toml")
)
ALWAYS = ("success", "business_failure", "technical_failure", "time_out")
WITH_CALLBACKS = (*ALWAYS, "late_callback", "duplicate_callback")
WITHOUT = (*ALWAYS, "reply_lost", "repeated")


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts the callbacks it runs, and keeps how long it was asked to wait for others."""

    def __init__(self) -> None:
        self.steps = 0
        self.waits: list[float] = []
        super().__init__()

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        self.steps += 1
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: object,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        if callback.__qualname__ != "_Worker.hand_over":  # the store's, and nobody waits for it
            self.waits.append(when - self.time())
        return super().call_at(when, callback, *args, context=context)


def expected(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURES / name / "expected.json").read_text())
    return found


def only(name: str) -> dict[str, Any]:
    (command,) = expected(name)["commands"]
    summary: dict[str, Any] = command["summary"]
    return summary


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_plays_without_a_difference_and_twice_the_same(name: str) -> None:
    first, second = played(recording(name)), played(recording(name))
    assert first.difference == ""
    assert first.transcript == second.transcript


@pytest.mark.parametrize("kind", CommandKind)
def test_every_command_has_its_six(kind: CommandKind) -> None:
    wanted = WITHOUT if FLOWS[kind].synchronous else WITH_CALLBACKS
    assert {f"{kind}/{name}" for name in wanted} <= set(NAMES)


def test_the_folders_are_those_of_the_catalogue_and_say_the_same() -> None:
    made = {scenario.name: scenario for scenario in scenarios()}
    assert sorted(made) == NAMES
    for name, scenario in made.items():
        assert read_scenario(FIXTURES / name) == scenario, name


def test_all_recordings_together_are_small() -> None:
    assert sum(file.stat().st_size for file in FIXTURES.rglob("*") if file.is_file()) < 3_000_000


def test_nothing_of_the_recording_machine_is_in_the_files() -> None:
    for file in FIXTURES.rglob("*"):
        if file.is_file() and file.parent.name != "hostile" and file.suffix != ".md":
            text = file.read_bytes()
            assert b"127.0.0.1" not in text, file
            assert b"localhost" not in text, file
            assert b"/tmp" not in text, file


@pytest.mark.parametrize(
    "name", ["remote_disconnect/day_long", "scheduled_read_interval/day_long",
             "device_status_check/day_of_polls"],
)  # fmt: skip
def test_a_day_is_played_in_few_steps_and_without_waiting(name: str) -> None:
    loop = CountingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        made = runner.run(play(recording(name), codec()))
        assert loop.waits == []
    assert made.virtual_s > 20 * 3_600
    assert loop.steps < 20_000


# ---------------------------------------------------------------- what they show


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("reply_lost", "succeeded"),
        ("silence_after_acting", "succeeded"),
        ("callback_before_reply", "succeeded"),
        ("settled_by_switch_state", "succeeded_inferred"),
        ("token_forgotten", "succeeded_inferred"),
        ("wrong_token", "succeeded_inferred"),
        ("needs_a_person", "unknown"),
        ("late_success", "unknown"),
        ("time_out", "unknown"),
    ],
)
def test_an_order_whose_fate_was_in_doubt_was_sent_once(name: str, outcome: str) -> None:
    what = recording(f"remote_disconnect/{name}")
    assert sent(what, "DisconnectMeter") == 1
    assert only(f"remote_disconnect/{name}")["outcome"] == outcome


@pytest.mark.parametrize("name", ["canceled_before_sending", "life_support", "expired"])
def test_what_must_not_be_sent_never_reached_the_head_end(name: str) -> None:
    what = recording(f"remote_disconnect/{name}")
    replies = [message for message in what.messages if message.kind is RecordedKind.REPLY]
    assert all(reply.lost == "not_sent" for reply in replies)
    assert expected(f"remote_disconnect/{name}")["installs"] == []


@pytest.mark.parametrize("name", ["load_check_stops", "already_connected"])
def test_a_check_stops_the_reconnect(name: str) -> None:
    assert sent(recording(f"remote_connect/{name}"), "ReconnectMeter") == 0


def test_a_restart_of_the_head_end_does_not_repeat_the_order() -> None:
    assert sent(recording("remote_connect/head_end_restart"), "ReconnectMeter") == 1


def test_cancel_in_time_and_too_late() -> None:
    assert only("remote_disconnect/cancel_taken")["state"] == "canceled"
    assert expected("remote_disconnect/cancel_taken")["installs"] == []
    late = only("remote_disconnect/cancel_too_late")
    assert (late["state"], late["outcome"]) == ("completed", "succeeded")
    assert late["reason"] == "the cancel came too late"


@for_every("name", NAMES)
def test_every_endpoint_has_one_outcome_and_the_sums_agree(name: str) -> None:
    for command in expected(name)["commands"]:
        counts = command["summary"]["endpoints"]
        if counts is None:
            continue
        parts = ("succeeded", "failed", "missing", "unknown")
        assert sum(counts[part] for part in parts) == counts["requested"]
        assert len({row["endpoint"] for row in command["outcomes"]}) == counts["requested"]


@for_every("name", NAMES)
def test_every_command_ended_and_every_callback_was_disposed_of(name: str) -> None:
    outcome = expected(name)
    ends = (State(command["summary"]["state"]) for command in outcome["commands"])
    assert all(state.rests for state in ends)
    assert all(row["state"] not in ("new", "parked") for row in outcome["inbox"])
    ids = [row["id"] for row in outcome["publications"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("kind", [kind for kind in CommandKind if not FLOWS[kind].synchronous])
def test_duplicate_and_late_callbacks_change_nothing(kind: CommandKind) -> None:
    once = only(f"{kind}/success")
    for name in ("duplicate_callback", "late_callback"):
        again = only(f"{kind}/{name}")
        assert (again["state"], again["outcome"]) == (once["state"], once["outcome"])
    twice = expected(f"{kind}/duplicate_callback")
    states = [row["state"] for row in twice["inbox"] if row["operation"] == "StatusChanged"]
    assert states == ["applied", "ignored"] * 3
    late = expected(f"{kind}/late_callback")["inbox"][-1]
    assert (late["at"], late["state"]) == (1_210.0, "ignored")


def test_a_failure_list_that_was_cut_proves_nothing() -> None:
    counts = only("multi_device_status_check/maximum_results_sent")["endpoints"]
    assert (counts["failed"], counts["unknown"]) == (1, 4)


def test_a_group_read_accounts_for_devices_whose_data_never_came() -> None:
    name = "scheduled_read_interval/missing_devices"
    counts = only(name)["endpoints"]
    assert (counts["succeeded"], counts["missing"], counts["failed"]) == (2, 1, 1)
    assert len(expected(name)["measurements"]) == 2


def test_requests_and_their_replies_pair_up() -> None:
    for name in NAMES:
        messages = read(FIXTURES / name).messages
        requests = [at for at, each in enumerate(messages, 1) if each.kind is RecordedKind.REQUEST]
        answered = [each.answers for each in messages if each.kind is RecordedKind.REPLY]
        assert sorted(requests) == sorted(at for at in answered if at is not None), name
