"""TLS and credentials for requests to the head end."""

import base64
import ssl
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from adapter.errors import SettingsError
from adapter.headend.settings import BasicLogin, HeadEndSettings, Tls, UsernameToken
from adapter.settings.text_files import require_file
from adapter.wire.security import username_token

NONCE_BYTES = 16
_SECRET_HEADERS: Final = frozenset({"authorization", "cookie", "set-cookie"})


def tls_context(tls: Tls) -> ssl.SSLContext:
    """A client context: TLS 1.2 or later, chain to the pinned issuer, host name checked.

    Made by hand, not by `create_default_context`: that one also believes the machine's store when
    no file is given, and writes session keys where SSLKEYLOGFILE points.
    Raises SettingsError naming the setting, never the key's content.
    """
    for name in ("ca_file", "certificate_file", "key_file"):
        if (path := getattr(tls, name)) is not None:
            require_file(path, f"tls.{name} {path}", private=name == "key_file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = True
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    try:
        if tls.ca_file is not None:
            context.load_verify_locations(cafile=str(tls.ca_file))
        elif tls.system_trust:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"tls.ca_file {tls.ca_file}: {type(error).__name__}") from error
    if tls.certificate_file is None:
        if tls.key_file is not None:
            raise SettingsError("tls.key_file without tls.certificate_file")
        return context
    # An empty phrase keeps OpenSSL from asking for one at the terminal.
    phrase = tls.key_password.reveal() if tls.key_password is not None else ""
    try:
        context.load_cert_chain(
            str(tls.certificate_file),
            str(tls.key_file) if tls.key_file is not None else None,
            password=phrase,
        )
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"tls.certificate_file {tls.certificate_file}: {type(error).__name__}"
        ) from None
    return context


def authorization(login: BasicLogin) -> str:
    """The value of the Authorization header."""
    pair = f"{login.user}:{login.password.reveal()}".encode()
    return "Basic " + base64.b64encode(pair).decode("ascii")


def request_headers(settings: HeadEndSettings, soap_action: str) -> dict[str, str]:
    """The HTTP headers of every request to the head end."""
    headers = {
        "Content-Type": "text/xml; charset=utf-8",
        "SOAPAction": f'"{soap_action}"',
        "Accept": "text/xml",
        "Accept-Encoding": "gzip",
        "User-Agent": "openway-gateway",
    }
    if settings.basic is not None:
        headers["Authorization"] = authorization(settings.basic)
    return headers


def without_secrets(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """What of the headers of a request or of a reply may be recorded."""
    return tuple(each for each in headers if each[0].lower() not in _SECRET_HEADERS)


def security_header(
    token: UsernameToken, *, clock: Callable[[], datetime], nonce: Callable[[int], bytes]
) -> bytes:
    """A ready SOAP header child with a nonce of its own, fresh for every request."""
    return username_token(
        token.user,
        token.password.reveal(),
        digest=token.digest,
        now=clock(),
        nonce=nonce(NONCE_BYTES),
    )
