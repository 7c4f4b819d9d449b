"""The compiled writers say what zeep says, for every body the contract allows."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from adapter.wire.codec import Direction
from adapter.wire.scalars import JsonValue
from adapter.wire.tools.reference import reference_request, reference_response
from tests.wire.bodies import bodies, canonical, catalog, codec, content_of

KEYS = sorted(catalog().operations)
SERVICES = sorted({key.partition(".")[0] for key in KEYS})
checked = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def check_request(key: str, body: dict[str, JsonValue]) -> None:
    written = codec().encode_request(key, body)
    assert canonical(content_of(written)) == canonical(
        content_of(reference_request(catalog(), key, body))
    )
    message = codec().decode(written)
    assert (message.operation, message.direction) == (key, Direction.REQUEST)
    assert message.body == codec().decode_content(content_of(written)).body
    assert codec().encode_request(key, message.body) == written


def check_response(key: str, body: dict[str, JsonValue]) -> None:
    written = codec().encode_response(key, body)
    assert canonical(content_of(written)) == canonical(
        etree.fromstring(reference_response(catalog(), key, body))
    )
    message = codec().decode(written)
    assert (message.operation, message.direction) == (key, Direction.RESPONSE)
    assert message.body == codec().decode_content(content_of(written)).body == body


@pytest.mark.parametrize("key", KEYS)
@checked
@given(data=st.data())
def test_a_request_equals_what_zeep_writes_and_reads_back(key: str, data: st.DataObject) -> None:
    check_request(key, data.draw(bodies(catalog().spec(key).request)))


@pytest.mark.parametrize("key", KEYS)
@checked
@given(data=st.data())
def test_a_response_equals_what_zeep_writes_and_reads_back(key: str, data: st.DataObject) -> None:
    check_response(key, data.draw(bodies(catalog().spec(key).response)))


@pytest.mark.soak
@pytest.mark.parametrize("service", SERVICES)
@settings(checked, max_examples=20_000)
@given(data=st.data())
def test_twenty_thousand_messages_of_each_service_equal_what_zeep_writes(
    service: str, data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from([key for key in KEYS if key.startswith(f"{service}.")]))
    if data.draw(st.booleans()):
        check_request(key, data.draw(bodies(catalog().spec(key).request)))
    else:
        check_response(key, data.draw(bodies(catalog().spec(key).response)))
