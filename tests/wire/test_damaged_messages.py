"""Whatever happens to a message on its way: it is read, or refused with a WireError."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.commands.flows import Operation
from adapter.errors import Refused, WireError
from adapter.wire.notifications import data_arrived, inbound_operation, status_changed
from adapter.wire.operations import read_answer
from adapter.wire.tools.json_form import decode_to_json
from tests.wire.bodies import EXAMPLES, codec

MESSAGES = [
    "RequestStatusChangedService.StatusChanged.request",
    "DataSubscriberService.DataArrived.request",
    "ExceptionSubscriberService.ExceptionsArrived.request",
    "DiagnosticService.GetReadDisconnectStateByMetersResult.response",
    "ProvisioningService.DeregisterMeters.response",
    "fault.NoValidTargetsFoundFault",
]
PIECES = st.one_of(
    st.binary(max_size=4),
    st.sampled_from([b"<", b">", b"</", b"/>", b"&", b"&amp;", b"&#0;", b"<!--", b"-->"]),
    st.sampled_from([b"<a>", b"</a>", b"<![CDATA[", b"]]>", b"NaN", b"-1", b"1E9"]),
    st.sampled_from([b' xmlns=""', b' i:nil="true"', b' i:type="x:y"']),
)


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """`good` with up to three places cut out, doubled or written over."""
    data = good
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        piece = draw(st.one_of(PIECES, st.just(data[start:end] * 2)))
        data = data[:start] + piece + data[end:]
    return data


@pytest.mark.parametrize("name", MESSAGES)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_damaged_message_is_read_or_refused(name: str, data: st.DataObject) -> None:
    body = data.draw(damaged((EXAMPLES / f"{name}.xml").read_bytes()))
    for read in (
        lambda: decode_to_json(body),
        lambda: status_changed(codec(), body),
        lambda: data_arrived(codec(), body),
        lambda: inbound_operation(codec(), body, None),
        lambda: read_answer(codec(), Operation.SWITCH_STATE_RESULT, body),
        lambda: read_answer(codec(), Operation.DEREGISTER_METERS, body),
    ):
        with suppress(WireError, Refused):
            read()
