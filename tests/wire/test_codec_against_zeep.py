"""The compiled writers say what zeep says, for every body the contract allows."""

from random import Random
from secrets import randbits
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from adapter.wire.codec import Direction
from adapter.wire.scalars import JsonValue
from adapter.wire.tools.reference import reference_request, reference_response
from tests.wire.bodies import bodies, canonical, catalog, codec, content_of
from tests.wire.random_bodies import RandomBodies

KEYS = sorted(catalog().operations)
PARTS: Final = 4
MESSAGES: Final = 20_000
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
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("service", SERVICES)
def test_twenty_thousand_messages_of_each_service_equal_what_zeep_writes(
    service: str, part: int
) -> None:
    """In parts, so that they run side by side; each in seconds."""
    keys = [key for key in KEYS if key.startswith(f"{service}.")]
    seed = randbits(64)
    random = Random(seed)
    made = RandomBodies(random)
    for number in range(MESSAGES // PARTS):
        spec = catalog().spec(random.choice(keys))
        try:
            if random.random() < 0.5:
                check_request(spec.key, made.body(spec.request))
            else:
                check_response(spec.key, made.body(spec.response))
        except Exception as error:
            error.add_note(f"message {number} of seed {seed}, in part {part} of {spec.key}")
            raise
    assert made.values > MESSAGES // PARTS, "bodies of nothing are all alike"
