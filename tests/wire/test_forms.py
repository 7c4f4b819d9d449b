"""What is read at once is what the parser's tree says, and nothing that the judge would refuse."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter.commands.flows import Operation
from adapter.errors import WireError
from adapter.wire.codec import Codec
from adapter.wire.notifications import STATUS_CHANGED
from adapter.wire.xml import Soap, open_envelope
from tests.support import for_every
from tests.wire.bodies import EXAMPLES, bodies, catalog, codec
from tests.wire.hostile_messages import HOSTILE, NOT_OURS
from tests.wire.test_bounded import judged

MIB = 1024 * 1024
KEYS = sorted(catalog().operations)
SWITCHES = Operation.SWITCH_STATE_RESULT
REASONS = ("NoResponse", "ErrorResponse")
TEXTS = st.text(st.sampled_from("aB7 é\u00a0\u2028\t]&<"), min_size=1, max_size=6)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"ElectronicSerialNumber": TEXTS, "FailureReason": st.sampled_from(REASONS)},
        optional={"Description": TEXTS},
    ),
    max_size=20,
)
SWITCH_ROWS = st.lists(
    st.fixed_dictionaries(
        {"ElectronicSerialNumber": TEXTS, "SwitchState": st.just("Connected")},
    ),
    max_size=20,
)
PIECES = st.sampled_from(
    [
        *("<", ">", "</", "/>", "&", "&amp;", "&#65;", "&#0;", "<!-- -->", "<a/>", "]]>", " ", ""),
        *("\n", "\t", "\r", "\x00", "\x7f", "é", "\u0085", "\ufffe", "=", '"', "'", "x", "<?x?>"),
        *(' a="1"', ' xmlns="u:u"', ' xmlns=""', " xmlns:q='u:u'", "<![CDATA[x]]>", "<b>", "</b>"),
    ]
)


def is_read_at_once(data: bytes, of: Codec | None = None) -> bool:
    """Whether it is; then a tree of it must say the same."""
    at_once = (of or codec()).decode_at_once(data)
    if at_once is None:
        return False
    envelope = open_envelope(data, max_bytes=len(data))
    tree = (of or codec()).decode_content(envelope.content)
    assert (at_once.tag, at_once.operation, at_once.direction, at_once.body) == (
        *(tree.tag, tree.operation, tree.direction, tree.body),
    )
    assert at_once.soap is envelope.soap
    assert judged(data) == ""
    return True


def without_blanks(data: bytes) -> bytes:
    """As serializers write it, which put no blanks between elements."""
    return re.sub(rb">\s+<", b"><", data).strip()


def a_result(failures: list[dict[str, str]], switches: list[dict[str, str]] | None = None) -> bytes:
    result = {
        "RequestToken": {"Id": "5b0c7e0e-6d0f-4a55-9a6e-2f6f4a1f0c11"},
        "Result": "Failure",
        "EndpointFailureResult": {"Failures": failures, "MaximumResultsSent": False},
        **({} if switches is None else {"MeterDisconnectSwitchResults": switches}),
    }
    return codec().encode_response(SWITCHES, {f"{SWITCHES.partition('.')[2]}Result": result})


GOOD = without_blanks((EXAMPLES / f"{STATUS_CHANGED}.request.xml").read_bytes())
LONG = a_result(
    [{"ElectronicSerialNumber": f"e{n}", "FailureReason": REASONS[n % 2]} for n in range(20)], []
)


@for_every("file", sorted(EXAMPLES.glob("*.xml")), ids=lambda file: file.name)
def test_an_example_is_read_at_once_as_by_a_tree_or_not_at_all(file: Path) -> None:
    is_read_at_once(without_blanks(file.read_bytes()))


def test_usual_messages_are_read_at_once() -> None:
    assert is_read_at_once(GOOD)
    assert is_read_at_once(LONG)
    assert is_read_at_once(a_result([]))
    assert is_read_at_once(GOOD.replace(b"utf-8", b"UTF-8"))
    assert is_read_at_once(GOOD.replace(b"?>", b"?>\r\n"))
    twelve = b"http://www.w3.org/2003/05/soap-envelope"
    twelfth = GOOD.replace(b"http://schemas.xmlsoap.org/soap/envelope/", twelve)
    assert is_read_at_once(twelfth)
    found = codec().decode_at_once(twelfth)
    assert found is not None
    assert found.soap is Soap.V12


@pytest.mark.parametrize("key", KEYS)
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_what_is_read_at_once_is_what_a_tree_says(key: str, data: st.DataObject) -> None:
    spec = catalog().spec(key)
    is_read_at_once(codec().encode_request(key, data.draw(bodies(spec.request))))
    is_read_at_once(codec().encode_response(key, data.draw(bodies(spec.response))))


@given(failures=ROWS, switches=st.none() | SWITCH_ROWS, reasons=st.integers(0, 20))
def test_lists_of_any_length_are_what_a_tree_says(
    failures: list[dict[str, str]], switches: list[dict[str, str]] | None, reasons: int
) -> None:
    data = a_result(failures, switches)
    data = re.sub(rb"<dia:FailureReason>\w+</dia:FailureReason>", b"", data, count=reasons)
    plain = all(char.isalnum() or char == " " for row in failures for char in "".join(row.values()))
    if plain and not switches:
        assert is_read_at_once(data)
    else:
        is_read_at_once(data)


@for_every("count", [1, 7, 8, 30])
def test_a_list_of_empty_elements_is_what_a_tree_says(count: int) -> None:
    of_rows = b"(<dia:EndpointFailure>.*</dia:EndpointFailure>)"
    data = re.sub(of_rows, b"<dia:EndpointFailure></dia:EndpointFailure>" * count, LONG)
    assert is_read_at_once(data)


@settings(max_examples=400, deadline=None)
@given(
    good=st.sampled_from([GOOD, LONG]),
    cuts=st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 30), PIECES), max_size=2),
    again=st.booleans(),
)
def test_a_bent_message_is_read_at_once_only_where_it_is_read_by_the_tree(
    good: bytes, cuts: list[tuple[int, int, str]], again: bool
) -> None:
    data = good
    for start, length, piece in cuts:
        start %= len(data) + 1
        taken = data[start : start + length]
        data = data[:start] + (taken * 2 if again else piece.encode()) + data[start + length :]
    try:
        tree = codec().decode_content(open_envelope(data).content)
    except WireError:
        assert codec().decode_at_once(data) is None
    else:
        assert is_read_at_once(data) in (True, False)
        assert tree.operation or codec().decode_at_once(data) is None


@for_every("data", [*HOSTILE.values(), *NOT_OURS.values()], ids=[*HOSTILE, *NOT_OURS])
def test_what_is_no_message_of_ours_is_not_read_at_once(data: bytes) -> None:
    for body in (data, without_blanks(data)):
        try:
            codec().decode(body)
        except WireError:
            assert codec().decode_at_once(body) is None


@for_every(
    ("old", "new"),
    [
        (b"<RequestToken>", b'<RequestToken xmlns="">'),
        (b"<StatusChanged ", b'<StatusChanged xmlns:q="" '),
        (b"<input ", b"<input a='1' "),
        (b"<State>Executing</State>", b"<State></State>"),
        (b"<State>Executing</State>", b"<State/>"),
        (b"<State>Executing</State>", b"<State>Executing</State><State>Executing</State>"),
        (b"<State>Executing</State>", b"<Other>1</Other>"),
        (b"<State>Executing</State>", b"<State><!-- -->Executing</State>"),
        (b"<State>Executing</State>", b"<State>&#69;xecuting</State>"),
        (b"<State>Executing</State>", b"<State>Exec\x01uting</State>"),
        (b"<State>Executing</State>", b"<State>Exec\xffuting</State>"),
        (b"<State>Executing</State>", b"<State>]]></State>"),
        (b"<FailedEndpoints>1<", b"<FailedEndpoints>one<"),
        (b"</s:Envelope>", b"</s:Envelope><a/>"),
        (b"</s:Envelope>", b"</s:Envelope>x"),
        (b"</s:Envelope>", b""),
        (b"<s:Body>", b"<s:Header></s:Header><s:Body>"),
        (b"<s:Body>", b"<s:Header>"),
    ],
    ids=str,
)
def test_what_has_not_the_form_is_left_to_the_parser(old: bytes, new: bytes) -> None:
    assert old in GOOD
    assert codec().decode_at_once(GOOD.replace(old, new)) is None


@for_every(
    ("old", "new"),
    [
        (b"<com:", b"<dia:"),
        (b"e7</", b"</"),
        (b"<dia:EndpointFailure>", b"<dia:Failures></dia:Failures><dia:EndpointFailure>"),
        (b"</dia:Failures>", b"x</dia:Failures>"),
        (b"</dia:Failures>", b"</dia:Failures></dia:Failures>"),
        (b"<dia:Failures>", b"<dia:Failures><dia:Failures>"),
        (b"</dia:EndpointFailure><dia:EndpointFailure>", b"</dia:EndpointFailure>"),
    ],
    ids=str,
)
def test_a_list_that_has_not_the_form_is_left_to_the_parser(old: bytes, new: bytes) -> None:
    assert old in LONG
    assert codec().decode_at_once(LONG.replace(old, new, 1)) is None


def test_so_many_forms_of_a_message_are_kept_and_no_more() -> None:
    own = Codec(catalog())
    forms = prefixed(GOOD, 20)
    assert [is_read_at_once(body, own) for body in forms] == [True] * 8 + [False] * 12
    assert own.decode(forms[-1]).body == own.decode(GOOD).body
    assert is_read_at_once(LONG, own)


def prefixed(body: bytes, count: int) -> list[bytes]:
    """The same message in so many forms."""
    return [re.sub(rb"(</?|:)s\b", rb"\1p%d" % n, body) for n in range(count)]


def test_strangers_leave_few_forms_and_take_none_from_who_is_known() -> None:
    own = Codec(catalog())
    strange = [own.decode_at_once(body, known=False) for body in prefixed(LONG, 20)]
    assert [found is not None for found in strange] == [True] * 4 + [False] * 16
    assert own.decode_at_once(GOOD, known=False) is None
    assert [is_read_at_once(body, own) for body in prefixed(GOOD, 9)] == [True] * 8 + [False]
    assert own.decode_at_once(prefixed(GOOD, 8)[-1], known=False) is not None, "it is met"


@for_every(
    "body",
    [
        LONG.replace(b"<dia:Failures>", b"<dia:Failures>" * 100_000),
        LONG.replace(b"</dia:Failures>", b"</dia:Failures>" * 100_000),
        LONG.replace(b"<dia:EndpointFailure>", b"<dia:EndpointFailure>" * 50_000, 1),
        LONG.replace(b"e7<", b"e7%s<" % (b" " * 2 * MIB)),
        LONG.replace(b"e7<", b"e7%s<" % (b"=" * 2 * MIB)),
        LONG.replace(b"xmlns:dia", b"xmlns:dib%s" % (b' xmlns:dia="u:u"' * 100_000)),
        b"<" * 2 * MIB,
        b"<a>" * MIB,
        b'<?xml version="1.0"?>' + b"<s:a>" * 400 + b"=" + b"<s:a>" * 100_000,
    ],
    ids=lambda body: repr(body[:40]),
)
def test_it_takes_time_that_grows_with_the_size(body: bytes) -> None:
    started = time.process_time()
    codec().decode_at_once(body)
    assert time.process_time() - started < 0.25 * max(1, len(body) / MIB)
