"""The WS-Security header that a head end can be configured to ask for.

That it is a UsernameToken with nonce and creation time is documented only in part; password type
and the absence of mustUnderstand are inferred, so both types can be chosen.
"""

from base64 import b64encode
from datetime import UTC, datetime

from lxml import etree
from zeep.wsse import utils
from zeep.wsse.username import UsernameToken

from adapter.wire.xml import ENVELOPE_NS, Soap

_BASE64: str = UsernameToken.soap_message_secutity_ns + "#Base64Binary"


def username_token(user: str, password: str, *, digest: bool, now: datetime, nonce: bytes) -> bytes:
    """The wsse:Security block, ready to stand in a SOAP header.

    `nonce` must be fresh random bytes for every message, `now` the present time; both travel in
    either form. With `digest` the password itself does not travel, but whoever sees the message can
    still guess at it: the transport has to be TLS in both forms.
    """
    envelope = etree.Element(f"{{{ENVELOPE_NS[Soap.V11]}}}Envelope")
    created = now.astimezone(UTC)
    token = UsernameToken(  # type: ignore[no-untyped-call]
        user,
        password,
        use_digest=digest,
        nonce=nonce.hex(),
        created=created,
        zulu_timestamp=True,
    )
    token.apply(envelope, {})  # type: ignore[no-untyped-call]
    security = utils.get_security_header(envelope)  # type: ignore[no-untyped-call]
    if not digest:
        _add_nonce_and_created(security, nonce, created)
    security.getparent().remove(security)
    etree.cleanup_namespaces(security)
    return etree.tostring(security)


def _add_nonce_and_created(security: etree._Element, nonce: bytes, created: datetime) -> None:
    """zeep gives nonce and creation time to the digest form only."""
    encoded = b64encode(nonce.hex().encode()).decode()
    at = utils.get_timestamp(created, zulu_timestamp=True)  # type: ignore[no-untyped-call]
    security[0].append(utils.WSSE.Nonce(encoded, EncodingType=_BASE64))
    security[0].append(utils.WSU.Created(at))
