"""The compiled writers say what zeep says, for every body the contract allows."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from adapter.wire.codec import Direction
from adapter.wire.tools.reference import reference_request, reference_response
from tests.wire.bodies import bodies, canonical, catalog, codec, content_of

KEYS = sorted(catalog().operations)
checked = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("key", KEYS)
@checked
@given(data=st.data())
def test_a_request_equals_what_zeep_writes_and_reads_back(key: str, data: st.DataObject) -> None:
    body = data.draw(bodies(catalog().spec(key).request))
    written = codec().encode_request(key, body)
    assert canonical(content_of(written)) == canonical(
        content_of(reference_request(catalog(), key, body))
    )
    message = codec().decode(written)
    assert (message.operation, message.direction) == (key, Direction.REQUEST)
    assert codec().encode_request(key, message.body) == written


@pytest.mark.parametrize("key", KEYS)
@checked
@given(data=st.data())
def test_a_response_equals_what_zeep_writes_and_reads_back(key: str, data: st.DataObject) -> None:
    body = data.draw(bodies(catalog().spec(key).response))
    written = codec().encode_response(key, body)
    assert canonical(content_of(written)) == canonical(
        etree.fromstring(reference_response(catalog(), key, body))
    )
    message = codec().decode(written)
    assert (message.operation, message.direction) == (key, Direction.RESPONSE)
    assert message.body == body
