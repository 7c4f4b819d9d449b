"""Signatures as Standard Webhooks has them."""

from datetime import UTC, datetime, timedelta

import pytest

from adapter.errors import SettingsError
from adapter.model.secret import Secret
from adapter.webhooks.signing import ID, SIGNATURE, TIMESTAMP, NotSigned, key_of, signed, verify

NOW = datetime(2021, 2, 25, 15, 42, 10, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = key_of(Secret(SECRET))
OTHER = key_of(Secret("whsec_" + "QUJD" * 8))
BODY = b'{"test": 2432232314}'


def check(headers: dict[str, str], *keys: bytes, body: bytes = BODY, later_s: float = 0) -> None:
    now = NOW + timedelta(seconds=later_s)
    verify(headers, body, keys or (KEY,), now=now, tolerance_s=300)


def test_the_signature_is_that_of_the_specifications_example() -> None:
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", BODY, [KEY], now=at)
    assert headers[SIGNATURE] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers[TIMESTAMP] == "1614265330"


def test_what_was_signed_is_believed_with_either_key_of_a_rotation() -> None:
    headers = dict(signed("m", BODY, [OTHER, KEY], now=NOW))
    check(headers, KEY)
    check(headers, OTHER)
    check(dict(signed("m", BODY, [OTHER], now=NOW)), KEY, OTHER)


@pytest.mark.parametrize("later_s", [-301, 301])
def test_what_is_too_old_or_too_new_is_not_believed(later_s: float) -> None:
    with pytest.raises(NotSigned, match="seconds away"):
        check(dict(signed("m", BODY, [KEY], now=NOW)), later_s=later_s)


@pytest.mark.parametrize(
    "change",
    [
        {ID: "n"},
        {ID: ""},
        {TIMESTAMP: "1614267731"},
        {TIMESTAMP: "soon"},
        {TIMESTAMP: "٣"},
        {TIMESTAMP: "1" * 400},
        {TIMESTAMP: ""},
        {SIGNATURE: ""},
        {SIGNATURE: "v1,"},
        {SIGNATURE: "v1"},
        {SIGNATURE: "v1a,AAAA"},
        {SIGNATURE: "v1,\udcff"},
    ],
)
def test_what_was_changed_is_not_believed(change: dict[str, str]) -> None:
    headers = {**signed("m", BODY, [KEY], now=NOW), **change}
    with pytest.raises(NotSigned):
        check(headers)


def test_another_body_or_key_is_not_believed() -> None:
    headers = dict(signed("m", BODY, [KEY], now=NOW))
    with pytest.raises(NotSigned):
        check(headers, body=BODY + b" ")
    with pytest.raises(NotSigned):
        check(headers, OTHER)


def test_an_id_with_a_dot_is_not_signed() -> None:
    with pytest.raises(ValueError, match="dot"):
        signed("a.b", BODY, [KEY], now=NOW)


@pytest.mark.parametrize("text", ["whsec_", "whsec_AAAA", "no base64!", "whsec_" + "A" * 200])
def test_a_key_that_is_none_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        key_of(Secret(text))
    assert text not in str(raised.value)
