"""One document from a web server, for `openway wsdl fetch`: standard library, no redirects."""

import http.client
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from adapter.cli.client import NoDocument
from adapter.errors import InvalidRequest, SettingsError
from adapter.settings.text_files import require_file

LONGEST_BYTES: Final = 16 * 1024 * 1024
_TIMEOUT_S: Final = 30.0
_SENT_AS_THEY_ARE: Final = "/:@!$&'()*+,;=?%~"


def checked_url(url: str) -> str:
    """With `?wsdl` where it has no query and names no file. Raises InvalidRequest."""
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole:
        raise InvalidRequest("url", f"{url} is no http or https URL")
    if parts.username is not None:
        raise InvalidRequest("url", "a name or password in it would stay in the shell's history")
    named = bool(parts.query) or parts.path.lower().endswith(".wsdl")
    return url if named else parts._replace(query="wsdl", fragment="").geturl()


def read_document(url: str, *, ca_file: Path | None = None) -> bytes:
    """The body of a 200. Raises NoDocument for any other answer, or none, SettingsError for a CA
    file that cannot be used."""
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        trust = _trust(ca_file)
        connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=trust)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    target = quote(parts._replace(scheme="", netloc="", fragment="").geturl(), _SENT_AS_THEY_ARE)
    try:
        connection.request("GET", target, headers={"User-Agent": "openway"})
        answer = connection.getresponse()
        body = answer.read(LONGEST_BYTES + 1)
    except TimeoutError as error:
        raise NoDocument(f"{url}: no answer within {_TIMEOUT_S:g} seconds") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoDocument(f"{url}: {str(error) or type(error).__name__}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise NoDocument(f"{url}: answered {answer.status} {answer.reason}")
    if len(body) > LONGEST_BYTES:
        raise NoDocument(f"{url}: longer than {LONGEST_BYTES} bytes")
    return body


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        if ca_file is not None:
            require_file(ca_file, str(ca_file))
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise SettingsError(f"{ca_file}: {error.strerror or error}") from error
