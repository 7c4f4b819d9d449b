"""Looks at the head end: name, connection, TLS both ways, clock, credentials.

Nothing is asked that could change anything: `?wsdl`, and the status of a request that nobody made.
That GetRequestStatus only reads is inferred from its contract; the gateway polls by it.
"""

import asyncio
import http.client
import re
import secrets
import socket
import ssl
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from adapter.commands.calls import Call
from adapter.commands.flows import Operation
from adapter.doctor.findings import DoctorFinding
from adapter.doctor.installation import SOON
from adapter.errors import HeadEndError, Refused, SettingsError
from adapter.headend.client import HeadEndClient, HttpCall
from adapter.headend.contract import ContractWire
from adapter.headend.security import authorization, tls_context
from adapter.headend.settings import HeadEndSettings, Timeouts
from adapter.model.ids import RequestToken
from adapter.model.values import replace
from adapter.service.certificate_facts import CertificateFacts, of_der, of_file
from adapter.settings.text_files import require_file
from adapter.wire.codec import Codec

_EXPIRED: Final = 10
_EARLY: Final = 9
_NAMES: Final = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""

_ENDED: Final = re.compile(r"alert|reset|eof|closed", re.IGNORECASE)
_WANTED: Final = re.compile(
    r"certificate.required|handshake.failure|bad.certificate", re.IGNORECASE
)
LONGEST_PAGE: Final = 16 * 1024 * 1024
MOST_MARGIN_S: Final = 1.0
"""The Date header has whole seconds."""


class NothingMoreToSee(Exception):
    """The head end cannot be looked at any further; the finding says why."""

    def __init__(self, finding: DoctorFinding) -> None:
        super().__init__(finding.what)
        self.finding = finding


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAnswer:
    """An answer to GET."""

    status: int
    reason: str
    date: str
    body: bytes


def look_at_head_end(
    settings: HeadEndSettings,
    codec: Codec,
    *,
    clock: Callable[[], datetime],
    tolerance_s: float,
    within_s: float,
) -> Iterator[DoctorFinding]:
    try:
        yield from _our_certificate(settings, clock())
        yield from _certificate(settings, clock(), within_s)
        path = codec.catalog.spec(Operation.REQUEST_STATUS).path
        url = settings.url_for(Operation.REQUEST_STATUS, path)
        page = get_page(settings, f"{url}?wsdl", within_s=within_s)
        yield from _clock(page, clock(), tolerance_s)
        yield from _credentials(settings, codec, within_s)
    except NothingMoreToSee as stopped:
        yield stopped.finding


# ---------------------------------------------------------------- connection and TLS


def get_page(settings: HeadEndSettings, url: str, *, within_s: float) -> PageAnswer:
    """What is answered to GET. Credentials are shown only where they are asked for: an account may
    be locked after a few wrong ones. Raises NothingMoreToSee."""
    page = _got(settings, url, within_s, login=False)
    if page.status == http.client.UNAUTHORIZED and settings.basic is not None:
        return _got(settings, url, within_s, login=True)
    return page


def _got(settings: HeadEndSettings, url: str, within_s: float, *, login: bool) -> PageAnswer:
    parts = urlsplit(url)
    address = _address(parts)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=within_s)
    headers = {"User-Agent": "openway-gateway", "Connection": "close"}
    if login and settings.basic is not None:
        headers["Authorization"] = authorization(settings.basic)
    try:
        connection.sock = connect(settings, parts, within_s)
        connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
        answer = connection.getresponse()
        body = answer.read(LONGEST_PAGE)
    except TimeoutError:
        raise _stop("head_end_silent", address=address, seconds=within_s) from None
    except (OSError, http.client.HTTPException) as error:
        raise _broken(settings, parts, error, shaken=True) from error
    finally:
        connection.close()
    return PageAnswer(
        status=answer.status,
        reason=answer.reason,
        date=answer.getheader("Date") or "",
        body=body,
    )


def connect(settings: HeadEndSettings, parts: SplitResult, within_s: float) -> socket.socket:
    """A connection as the gateway makes one. Raises NothingMoreToSee."""
    plain = _dial(parts, within_s)
    if parts.scheme != "https" or settings.tls is None:
        return plain
    try:
        context = tls_context(settings.tls)
        name = settings.tls.server_name or parts.hostname
        return context.wrap_socket(plain, server_hostname=name)
    except SettingsError as error:
        raise _stop("settings_file_bad", problem=f"head_end.{error}") from error
    except ssl.SSLCertVerificationError as error:
        raise _not_believed(parts, error, within_s) from error
    except TimeoutError:
        raise _stop("head_end_silent", address=_address(parts), seconds=within_s) from None
    except OSError as error:
        raise _broken(settings, parts, error) from error


def _dial(parts: SplitResult, within_s: float) -> socket.socket:
    host, port = parts.hostname or "", _port(parts)
    try:
        return socket.create_connection((host, port), timeout=within_s)
    except socket.gaierror:
        raise _stop("head_end_name_unknown", host=host) from None
    except OSError as error:
        words = {"address": _address(parts), "host": host, "port": port}
        reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or error
        raise _stop("head_end_unreachable", reason=reason, **words) from error


def _broken(
    settings: HeadEndSettings, parts: SplitResult, error: Exception, *, shaken: bool = False
) -> NothingMoreToSee:
    """A connection that was ended. Where it was so by a server that shows a certificate, it is most
    likely for ours: TLS 1.3 tells it only after the handshake (`shaken`), and some tell nothing."""
    reason = getattr(error, "reason", None) or str(error) or type(error).__name__
    address, tls = _address(parts), settings.tls
    about_ours = bool(_WANTED.search(str(reason).replace("_", " ")))
    ended = shaken and bool(_ENDED.search(f"{type(error).__name__} {reason}"))
    if parts.scheme == "https" and tls is not None and (about_ours or ended):
        if tls.certificate_file is not None:
            words = {"file": tls.certificate_file, "reason": reason}
            return _stop("client_certificate_refused", address=address, **words)
        return _stop("client_certificate_missing", address=address, reason=reason)
    if isinstance(error, ssl.SSLError | http.client.HTTPException):
        return _stop("tls_failed", address=address, reason=reason)
    words = {"host": parts.hostname, "port": _port(parts)}
    return _stop("head_end_unreachable", address=address, reason=reason, **words)


def _not_believed(
    parts: SplitResult, error: ssl.SSLCertVerificationError, within_s: float
) -> NothingMoreToSee:
    address, facts = _address(parts), shown_certificate(parts, within_s)
    if error.verify_code == _EXPIRED:
        at = f"{facts.ends:%F %T}Z" if facts else "a time not known"
        return _stop("head_end_certificate_expired", address=address, at=at)
    if error.verify_code == _EARLY:
        at = f"{facts.begins:%F %T}Z" if facts else "a later time"
        return _stop("head_end_certificate_early", address=address, at=at)
    if error.verify_code in _NAMES:
        names = ", ".join(facts.names) if facts else "another name"
        return _stop("head_end_certificate_name", address=address, names=names)
    issuer = facts.issuer if facts else "an issuer not known"
    words = {"issuer": issuer, "reason": error.verify_message}
    return _stop("head_end_certificate_issuer", address=address, **words)


def shown_certificate(parts: SplitResult, within_s: float) -> CertificateFacts | None:
    """What a server shows, believed or not; nothing is sent to it but the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        address = (parts.hostname or "", _port(parts))
        with (
            socket.create_connection(address, timeout=within_s) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as wrapped,
        ):
            return of_der(wrapped.getpeercert(binary_form=True) or b"")
    except (OSError, ValueError):
        return None


def _certificate(
    settings: HeadEndSettings, now: datetime, within_s: float
) -> Iterator[DoctorFinding]:
    """When the head end's ends. Raises NothingMoreToSee."""
    parts = urlsplit(settings.base_url)
    connect(settings, parts, within_s).close()
    if parts.scheme != "https":
        return
    facts = shown_certificate(parts, within_s)
    if facts is not None and facts.ends < now + SOON:
        words = {"address": _address(parts), "at": f"{facts.ends:%F %T}Z"}
        yield DoctorFinding.of("head_end_certificate_soon", **words)


def _our_certificate(settings: HeadEndSettings, now: datetime) -> Iterator[DoctorFinding]:
    if settings.tls is None or settings.tls.certificate_file is None:
        return
    yield from certificate_ends(settings.tls.certificate_file, now, "client_certificate")


def certificate_ends(file: Path, now: datetime, code: str) -> Iterator[DoctorFinding]:
    """`code` begins those of one that has ended and one that ends soon. Nothing is said of a file
    that is not there or is none: the look at the settings does."""
    try:
        require_file(file, f"{file}")
        facts = of_file(file)
    except (SettingsError, OSError, ValueError):
        return
    at = f"{facts.ends:%F %T}Z"
    if facts.ends <= now:
        yield DoctorFinding.of(f"{code}_expired", file=file, at=at)
    elif facts.ends < now + SOON:
        yield DoctorFinding.of(f"{code}_soon", file=file, at=at)


# ---------------------------------------------------------------- clock and credentials


def _clock(page: PageAnswer, now: datetime, tolerance_s: float) -> Iterator[DoctorFinding]:
    try:
        theirs = parsedate_to_datetime(page.date)
    except (TypeError, ValueError):
        return
    if theirs.tzinfo is None:
        return
    off_s = abs((now - theirs).total_seconds())
    if off_s > tolerance_s + MOST_MARGIN_S:
        yield DoctorFinding.of("clock_off", seconds=off_s)


def _credentials(
    settings: HeadEndSettings, codec: Codec, within_s: float
) -> Iterator[DoctorFinding]:
    """Asks for the status of a request that nobody made: what is refused for its token has let the
    caller in."""
    status, error = asyncio.run(_ask(settings, codec, within_s))
    address = _address(urlsplit(settings.base_url))
    setting = (
        "head_end.basic.user and password" if settings.basic is not None
        else "head_end.username_token.user and password" if settings.username_token is not None
        else "head_end.basic or head_end.username_token"
    )  # fmt: skip
    if status in (401, 403) or _is_about_access(error):
        reason = f"HTTP {status}" if status in (401, 403) else str(error)
        words = {"reason": reason, "setting": setting}
        yield DoctorFinding.of("credentials_refused", address=address, **words)
    elif error is not None and not isinstance(error, Refused):
        yield DoctorFinding.of("credentials_unproven", address=address, reason=error)


def _is_about_access(error: HeadEndError | None) -> bool:
    if not isinstance(error, Refused):
        return False
    return bool(re.search(r"auth|access|security|credential", error.fault.name, re.IGNORECASE))


async def _ask(
    settings: HeadEndSettings, codec: Codec, within_s: float
) -> tuple[int | None, HeadEndError | None]:
    seen: list[HttpCall] = []
    patience = Timeouts(
        admission_s=within_s,
        pool_s=within_s,
        connect_s=within_s,
        reply_s=within_s,
        total_s=within_s,
    )
    quick = replace(settings, timeouts=patience, operation_timeouts={}, connect_attempts=1)
    token = RequestToken(str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)))
    error: HeadEndError | None = None
    async with HeadEndClient(quick, ContractWire(codec), observe=seen.append) as client:
        try:
            await client.call(Call(operation=Operation.REQUEST_STATUS, token=token))
        except HeadEndError as raised:
            error = raised
    return (seen[-1].status if seen else None), error


def _stop(code: str, **words: object) -> NothingMoreToSee:
    return NothingMoreToSee(DoctorFinding.of(code, **words))


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _address(parts: SplitResult) -> str:
    return f"{parts.hostname}:{_port(parts)}"
