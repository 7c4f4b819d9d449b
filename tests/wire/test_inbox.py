"""A status that is read straight from the texts of its message is what the parser's tree says."""

from datetime import timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from adapter.commands.calls import RequestStatus
from adapter.errors import WireError
from adapter.wire.inbox import InboxReader
from adapter.wire.notifications import status_told
from adapter.wire.xml import open_envelope
from tests.wire.bodies import codec

HEAD = (
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    '<c:StatusChanged xmlns:c="http://www.itron.com/ami/2008/10/common"><c:input>'
    "<c:RequestStatus>"
)
TAIL = "</c:RequestStatus></c:input></c:StatusChanged></s:Body></s:Envelope>"
ZONE = timezone(timedelta(hours=5))
TIMES = ("2026-03-01T06:00:00Z", "2026-03-01T06:00:00", "0001-01-01T00:00:00", "soon", " ")
COUNTS = ("0", "7", " 7 ", "-1", "+3", "x", "99999999999", "1" * 50)
MEMBERS = {
    "State": ("Executing", "Completed", "Resting", " Completed "),
    "EndpointsScheduled": COUNTS,
    "Result": ("Pending", "Success", "Odd"),
    "SuccessfulEndpoints": COUNTS,
    "FailedEndpoints": COUNTS,
    "CreatedWhen": TIMES,
    "FinishedWhen": TIMES,
}
TOKENS = (
    "5b0c7e0e-6d0f-4a55-9a6e-2f6f4a1f0c11",
    "5B0C7E0E-6D0F-4A55-9A6E-2F6F4A1F0C12",
    " 5b0c7e0e-6d0f-4a55-9a6e-2f6f4a1f0c13 ",
    "00000000-0000-0000-0000-000000000000",
    "none",
)
STATUSES = st.tuples(
    st.none() | st.sampled_from(TOKENS),
    st.fixed_dictionaries({}, optional={n: st.sampled_from(t) for n, t in MEMBERS.items()}),
)
READER = InboxReader(codec(), ZONE)
"""One for all: what one message has left behind is there for the next."""


def message(token: str | None, members: dict[str, str]) -> bytes:
    inside = "" if token is None else f"<c:RequestToken><c:Id>{token}</c:Id></c:RequestToken>"
    for name in MEMBERS:
        if name in members:
            inside += f"<c:{name}>{members[name]}</c:{name}>"
    return f"{HEAD}{inside}{TAIL}".encode()


def in_tree(raw: bytes) -> RequestStatus | None:
    """None: it is no status."""
    try:
        content = open_envelope(raw, max_bytes=len(raw)).content
        return status_told(codec().decode_content(content), zone=ZONE)
    except WireError:
        return None


@given(STATUSES)
def test_it_is_what_the_tree_says(status: tuple[str | None, dict[str, str]]) -> None:
    raw = message(*status)
    texts = codec().texts_at_once(raw)
    assert texts is not None
    try:
        told: RequestStatus | None = READER.status_told(texts)
    except WireError:
        told = None
    assert told == in_tree(raw)


def test_many_kinds_of_statuses_leave_little_behind() -> None:
    reader = InboxReader(codec())
    for number in range(1_000):
        raw = message(TOKENS[0], {"State": "Executing", "EndpointsScheduled": str(number)})
        texts = codec().texts_at_once(raw)
        assert texts is not None
        assert reader.status_told(texts).scheduled == number
    assert len(reader._known) < 500
