"""Looks at the public callback address, from outside in: calls it as the head end would.

The gateway gives out an address that is good once, and a word that no other server knows; it tells
then what arrived. The call is from this machine: run on another one, it comes from there.
"""

import http.client
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from adapter.doctor.findings import DoctorFinding
from adapter.doctor.rest import RestApi, object_of
from adapter.errors import GatewayError
from adapter.service.settings import Settings
from adapter.settings.text_files import require_file

_SENT: Final = ("content-type", "soapaction")
_LONGEST: Final = 4096
_LOCAL: Final = re.compile(r"localhost|127(\.\d{1,3}){3}|::1", re.IGNORECASE)
_WANTED: Final = re.compile(
    r"certificate.required|handshake.failure|bad.certificate", re.IGNORECASE
)
_EXPIRED: Final = 10
_NAMES: Final = frozenset({62, 64})


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerFiles:
    """As whom the doctor calls: what the head end believes, and shows. Files are PEM."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    status: int
    server: str
    text: str


class _Unanswered(Exception):
    def __init__(self, finding: DoctorFinding) -> None:
        super().__init__(finding.what)
        self.finding = finding


def look_at_callback(
    settings: Settings, api: RestApi | None, caller: CallerFiles, *, within_s: float
) -> Iterator[DoctorFinding]:
    """`api` None: the gateway does not run, or does not let this command line in."""
    yield from _local(settings)
    if api is None:
        yield DoctorFinding.of("callback_unproven", reason="no gateway answers")
        return
    try:
        check = object_of(api.post("/callback-checks"))
    except GatewayError as error:
        yield DoctorFinding.of("callback_unproven", reason=error)
        return
    url = str(check["url"])
    try:
        answered = _call(settings, url, caller, within_s)
    except _Unanswered as unanswered:
        yield unanswered.finding
        return
    if answered.text != check["word"]:
        yield DoctorFinding.of("callback_other_server", url=url, answer=_shown(answered))
        return
    yield from _arrived(settings, object_of(api.get(f"/callback-checks/{check['id']}")), url)


def _local(settings: Settings) -> Iterator[DoctorFinding]:
    listener, head_end = settings.listener, settings.head_end
    host = urlsplit(listener.public_url).hostname if listener.public_url else listener.host
    if head_end is None or not _LOCAL.fullmatch(host or ""):
        return
    if not _LOCAL.fullmatch(urlsplit(head_end.base_url).hostname or ""):
        url = listener.public_url or f"{listener.host}:{listener.port}"
        yield DoctorFinding.of("callback_local", url=url)


def _arrived(settings: Settings, check: dict[str, object], url: str) -> Iterator[DoctorFinding]:
    arrived = object_of(check.get("arrived"))
    headers = arrived.get("headers")
    came = headers if isinstance(headers, list) else []
    sent = (*_SENT, "authorization") if settings.listener.users else _SENT
    lost = [name for name in sent if name not in came]
    if not lost and settings.listener.users and arrived.get("authorized") is not True:
        lost = ["authorization (it arrived changed)"]
    if lost:
        yield DoctorFinding.of("callback_header_lost", url=url, headers=", ".join(lost))


def _shown(answered: _Answered) -> str:
    server = f", Server: {answered.server}" if answered.server else ""
    return f"HTTP {answered.status}{server}"


def _call(settings: Settings, url: str, caller: CallerFiles, within_s: float) -> _Answered:
    """Raises _Unanswered."""
    parts = urlsplit(url)
    headers = {
        "Content-Type": "text/xml; charset=utf-8",
        "SOAPAction": '"openway-doctor"',
        "Connection": "close",
    }
    if settings.listener.users:
        headers["Authorization"] = _basic(settings)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=within_s)
    try:
        connection.sock = _connected(settings, parts, caller, within_s, url)
        connection.request("POST", parts.path, b"<check/>", headers)
        answer = connection.getresponse()
        text = answer.read(_LONGEST).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise _unanswered(url, error) from error
    finally:
        connection.close()
    server = answer.getheader("Server") or ""
    return _Answered(status=answer.status, server=server[:80], text=text)


def _connected(
    settings: Settings, parts: SplitResult, caller: CallerFiles, within_s: float, url: str
) -> socket.socket:
    port = parts.port or (443 if parts.scheme == "https" else 80)
    plain = socket.create_connection((parts.hostname or "", port), timeout=within_s)
    if parts.scheme != "https":
        return plain
    try:
        return _context(settings, caller).wrap_socket(plain, server_hostname=parts.hostname)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _EXPIRED or error.verify_code in _NAMES:
            words = {"url": url, "reason": error.verify_message}
            raise _Unanswered(DoctorFinding.of("callback_certificate", **words)) from error
        raise _Unanswered(DoctorFinding.of("callback_issuer", url=url)) from error


def _context(settings: Settings, caller: CallerFiles) -> ssl.SSLContext:
    """Believes the machine's authorities, or those of the head end that were given, and what the
    listener itself shows: whether that is good is asked here, not by whom."""
    if caller.ca is not None:
        require_file(caller.ca, str(caller.ca))
    context = ssl.create_default_context(cafile=caller.ca)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if caller.ca is None and settings.listener.tls is not None:
        context.load_verify_locations(settings.listener.tls.certificate_file)
    if caller.certificate is not None:
        context.load_cert_chain(caller.certificate, caller.key)
    return context


def _basic(settings: Settings) -> str:
    user = settings.listener.users[0]
    return f"Basic {b64encode(f'{user.user}:{user.password}'.encode()).decode()}"


def _unanswered(url: str, error: Exception) -> _Unanswered:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    if isinstance(error, TimeoutError):
        reason = "no answer in time"
    if _WANTED.search(str(reason).replace("_", " ")):
        words = {"url": url, "reason": reason}
        return _Unanswered(DoctorFinding.of("callback_wants_certificate", **words))
    words = {"url": url, "reason": reason or type(error).__name__}
    return _Unanswered(DoctorFinding.of("callback_unreachable", **words))
