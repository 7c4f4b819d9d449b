"""The WS-Security header: user, password or digest, nonce and creation time."""

import hashlib
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta, timezone

import pytest
from lxml import etree

from adapter.wire.security import username_token
from tests.wire.bodies import codec

WSSE = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}"
WSU = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}"
NOW = datetime(2025, 3, 30, 3, 0, 0, 999, tzinfo=timezone(timedelta(hours=2)))
NONCE = bytes(range(16))


def token(*, digest: bool, password: str = "pä<ss>") -> etree._Element:
    block = username_token("gateway & co", password, digest=digest, now=NOW, nonce=NONCE)
    root = etree.fromstring(block)
    assert root.tag == f"{WSSE}Security"
    assert set(root.nsmap.values()) == {WSSE.strip("{}")}
    return root[0]


@pytest.mark.parametrize("digest", [False, True])
def test_user_nonce_and_creation_time_travel_in_both_forms(digest: bool) -> None:
    element = token(digest=digest)
    assert [etree.QName(child).localname for child in element] == [
        "Username",
        "Password",
        "Nonce",
        "Created",
    ]
    assert element.findtext(f"{WSSE}Username") == "gateway & co"
    assert element.findtext(f"{WSU}Created") == "2025-03-30T01:00:00Z"
    assert b64decode(element.findtext(f"{WSSE}Nonce") or "") == NONCE.hex().encode()


def test_the_text_form_holds_the_password() -> None:
    (password,) = token(digest=False).iterfind(f"{WSSE}Password")
    assert password.text == "pä<ss>"
    assert password.get("Type", "").endswith("#PasswordText")


def test_the_digest_form_holds_the_digest_of_nonce_time_and_password() -> None:
    element = token(digest=True)
    (password,) = element.iterfind(f"{WSSE}Password")
    nonce = b64decode(element.findtext(f"{WSSE}Nonce") or "")
    created = (element.findtext(f"{WSU}Created") or "").encode()
    digest = hashlib.sha1(nonce + created + "pä<ss>".encode()).digest()
    assert password.text == b64encode(digest).decode()
    assert password.get("Type", "").endswith("#PasswordDigest")
    assert "pä" not in etree.tostring(element, encoding="unicode")


def test_a_message_with_the_header_is_read_as_one_without() -> None:
    block = username_token("u", "p", digest=True, now=datetime.now(UTC), nonce=NONCE)
    body = {"input": {"Id": "9f3b2c44-7d10-4e0a-8f21-3c5a6b7d8e90"}}
    data = codec().encode_request("RequestService.CancelRequest", body, header=block)
    assert codec().decode(data).body == body
    (header,) = etree.fromstring(data).iterfind("{*}Header")
    assert header[0].tag == f"{WSSE}Security"
