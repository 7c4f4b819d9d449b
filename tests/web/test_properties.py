"""Any bytes at all: judged without an exception, and large ones never stricter or other."""

from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.wire.inbound import HostedCall, MessageJudge, Unacceptable
from tests.web.both_servers import codec, data_arrived, events_arrived, status_changed

MESSAGES = (status_changed(), data_arrived(), events_arrived())
PIECES = st.sampled_from(
    [
        *(b"<", b">", b"/", b'"', b"&amp;", b"&x;", b"<a>", b"</a>", b"<!--", b"-->", b"<![CDATA["),
        *(b"]]>", b"<?x?>", b"<!DOCTYPE x>", b"xmlns=''", b" s:mustUnderstand='1'", b"\x00"),
        *(b"\xff", b"\xef\xbb\xbf", b"<s:Header>", b"</s:Header>", b"<s:Body>", b"</s:Body>"),
        b"</s:Envelope>",
    ]
)


@st.composite
def bent_messages(draw: st.DrawFn) -> bytes:
    message = draw(st.sampled_from(MESSAGES))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(message)))
        end = min(len(message), start + draw(st.sampled_from([0, 0, 1, 5, 40])))
        message = message[:start] + draw(PIECES) + message[end:]
    return message


def judged(body: bytes, action: str, *, size: int) -> HostedCall | Unacceptable:
    message = MessageJudge(codec(), action or None)
    for start in range(0, len(body), size):
        if message.feed(body[start : start + size]) is not None:
            break
    return message.finish()


@settings(max_examples=300, deadline=None)
@given(bent_messages() | st.binary(max_size=60), st.integers(1, 200), st.text(max_size=30))
def test_whole_and_in_pieces_agree_on_what_is_taken(body: bytes, size: int, action: str) -> None:
    whole, in_pieces = (judged(body, action, size=each) for each in (len(body) or 1, size))
    assert isinstance(whole, HostedCall) or (whole.text and whole.reason)
    assert in_pieces == whole
    assert MessageJudge(codec(), action or None).whole(body) == whole
