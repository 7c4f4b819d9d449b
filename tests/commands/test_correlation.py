"""What a callback tells, given what is known: new, known, late, early, contradicting, nobody's."""

from datetime import timedelta

import pytest

from adapter.commands.activity import Communication, CommunicationState, Failure
from adapter.commands.calls import RemoteResult, RemoteState, RequestStatus
from adapter.commands.correlation import GIVE_UP_S, PARK_S, Match, correlate
from adapter.model.ids import RequestToken
from adapter.model.values import replace
from tests.commands.run_to_end import NOON, X, a_status, token_of
from tests.commands.test_tables import ID, a_communication
from tests.support import for_every

DONE = a_status(ID)
TAKEN = [X.AWAITING, X.FETCHING]
ORDER = [
    RemoteState.UNKNOWN,
    RemoteState.INITIALIZING,
    RemoteState.EXECUTING,
    RemoteState.COMPLETED,
]


def judged(
    status: RequestStatus, communication: Communication | None, *, addressed: bool = True
) -> Match:
    return correlate(status, communication, addressed=addressed, received_at=NOON, now=NOON).match


def test_a_token_nobody_knows_yet_is_parked_and_given_up_after_a_day() -> None:
    early = correlate(DONE, None, addressed=False, received_at=NOON, now=NOON)
    assert early.match is Match.EARLY
    assert early.look_again_at == NOON + timedelta(seconds=PARK_S)
    later = NOON + timedelta(seconds=GIVE_UP_S)
    found = correlate(DONE, None, addressed=False, received_at=NOON, now=later)
    assert found.match is Match.UNKNOWN


@pytest.mark.parametrize("state", [X.SENDING, X.UNCLEAR])
def test_the_address_teaches_a_token_and_a_bare_token_does_not(state: CommunicationState) -> None:
    communication = a_communication(state)
    assert judged(DONE, communication) is Match.MATCHED
    assert judged(DONE, communication, addressed=False) is Match.CONTRADICTION


def test_a_callback_for_what_was_never_sent_contradicts() -> None:
    assert judged(DONE, a_communication(X.QUEUED)) is Match.CONTRADICTION


def test_a_callback_for_what_was_called_unsent_is_believed() -> None:
    communication = replace(a_communication(X.QUEUED), sent_at=NOON)
    assert judged(DONE, communication) is Match.MATCHED


@pytest.mark.parametrize("state", CommunicationState)
def test_another_token_is_a_contradiction_in_every_state(state: CommunicationState) -> None:
    communication = replace(a_communication(state), token=RequestToken("another"))
    for addressed in (True, False):
        assert judged(DONE, communication, addressed=addressed) is Match.CONTRADICTION


def test_where_two_tokens_claim_a_request_neither_is_believed() -> None:
    communication = replace(a_communication(X.UNCLEAR), failure=Failure(cause="token_conflict"))
    assert judged(DONE, communication) is Match.CONTRADICTION


@for_every("known", ORDER)
@for_every("told", ORDER)
def test_a_status_moves_forward_only(known: RemoteState, told: RemoteState) -> None:
    before = a_status(ID, known, RemoteResult.PENDING)
    communication = replace(a_communication(X.AWAITING), status=before)
    expected = Match.MATCHED if ORDER.index(told) > ORDER.index(known) else Match.DUPLICATE
    assert judged(a_status(ID, told), communication) is expected


@pytest.mark.parametrize("state", TAKEN)
def test_the_first_word_about_a_request_is_taken(state: CommunicationState) -> None:
    for told in ORDER:
        assert judged(a_status(ID, told), a_communication(state)) is Match.MATCHED


@pytest.mark.parametrize("state", [X.COMPLETED, X.FAILED, X.CANCELED, X.UNRESOLVED])
def test_what_comes_after_the_end_is_late_or_known(state: CommunicationState) -> None:
    over = replace(a_communication(state), token=token_of(ID))
    assert judged(DONE, over) is Match.LATE
    known = replace(over, status=DONE)
    assert judged(DONE, known) is Match.DUPLICATE
    assert judged(a_status(ID, RemoteState.EXECUTING), known) is Match.DUPLICATE
    assert judged(a_status(ID, result=RemoteResult.FAILURE), known) is Match.LATE
