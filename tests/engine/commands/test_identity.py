"""A callback address: its secret is a keyed hash of the communication's id, and nobody else's."""

import hmac

import pytest

from adapter.engine.commands.identity import CallbackIdentity
from adapter.model.ids import CommunicationId

ID = CommunicationId("01K0000000000000000000000A-1")


@pytest.mark.parametrize("length", [0, 1, 32, 63, 64, 65, 200])
def test_the_secret_is_an_hmac_of_the_id_by_a_key_of_any_length(length: int) -> None:
    key = bytes(range(length))
    wanted = hmac.digest(key, f"status/{ID}".encode(), "sha256")[:16].hex()
    identity = CallbackIdentity("http://gateway", (key,))
    assert identity.address(ID) == f"http://gateway/openway/status/{ID}/{wanted}"
    assert identity.genuine(ID, wanted)


def test_every_key_is_accepted_and_only_for_its_communication() -> None:
    before, now = CallbackIdentity("", (b"old",)), CallbackIdentity("", (b"new", b"old"))
    secret = before.address(ID).rpartition("/")[2]
    assert now.genuine(ID, secret)
    assert not now.genuine("another-1", secret)
    assert not before.genuine(ID, now.address(ID).rpartition("/")[2])
    assert not now.genuine(ID, "")
