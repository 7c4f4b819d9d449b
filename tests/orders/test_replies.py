"""Replies are delivered at least once, with waits that grow, and never given up by themselves."""

import typing
from datetime import timedelta
from itertools import product

import pytest

from adapter.errors import IllegalTransition
from adapter.model.ids import OrderId
from adapter.orders.events import ReplyKind
from adapter.orders.replies import (
    LONGEST_WAIT,
    REPLY_MACHINE,
    DeliveryFailed,
    DeliveryGivenUp,
    DeliveryRefused,
    DeliveryRetried,
    NobodyListens,
    ReplyAccepted,
    ReplyEvent,
    ReplyState,
    RequesterReply,
    alarming,
    step_reply,
)
from tests.orders.builders import NOON
from tests.support import for_every

SAMPLES: dict[type[ReplyEvent], ReplyEvent] = {
    ReplyAccepted: ReplyAccepted(),
    DeliveryFailed: DeliveryFailed(error="503"),
    DeliveryRefused: DeliveryRefused(error="410"),
    NobodyListens: NobodyListens(why="replies.url is not set"),
    DeliveryGivenUp: DeliveryGivenUp(who="ann"),
    DeliveryRetried: DeliveryRetried(who="ann"),
}


def reply(state: ReplyState = ReplyState.QUEUED) -> RequesterReply:
    return RequesterReply(
        id="SO-1/reply/1",
        order=OrderId("SO-1"),
        kind=ReplyKind.SUCCESS,
        requester="cis",
        external_reference="ext-1",
        created_at=NOON,
        due_at=NOON,
        state=state,
    )


@for_every(("state", "kind"), list(product(ReplyState, SAMPLES)))
def test_every_event_follows_an_arrow_or_is_refused(
    state: ReplyState, kind: type[ReplyEvent]
) -> None:
    assert set(SAMPLES) == set(typing.get_args(ReplyEvent))
    targets = REPLY_MACHINE.targets(state, kind)
    if not targets:
        with pytest.raises(IllegalTransition):
            step_reply(reply(state), SAMPLES[kind], now=NOON)
    else:
        assert {step_reply(reply(state), SAMPLES[kind], now=NOON).state} == targets


def test_a_requester_that_does_not_answer_is_tried_for_ever_and_shown_to_people() -> None:
    one, waits = reply(), []
    for _ in range(40):
        one = step_reply(one, DeliveryFailed(error="503"), now=NOON)
        waits.append(one.due_at - NOON)
    assert waits[:3] == [timedelta(seconds=s) for s in (10, 20, 40)]
    assert waits[-1] == LONGEST_WAIT
    assert one.state is ReplyState.QUEUED
    assert alarming(one)
    assert not alarming(step_reply(one, ReplyAccepted(), now=NOON))


def test_a_refused_reply_is_final_until_people_send_it_again_or_give_it_up() -> None:
    refused = step_reply(reply(), DeliveryRefused(error="410"), now=NOON)
    assert alarming(refused)
    assert (refused.attempts, refused.last_error) == (1, "410")
    later = NOON + timedelta(hours=3)
    again = step_reply(refused, DeliveryRetried(who="ann"), now=later)
    assert (again.state, again.due_at) == (ReplyState.QUEUED, later)
    gone = step_reply(refused, DeliveryGivenUp(who="ann"), now=later)
    assert not alarming(gone)
