"""When the certificates end that the settings name."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from adapter.service.settings import Settings
from adapter.web.api.head_end import CertificateEnd


def certificate_ends(settings: Settings) -> Sequence[CertificateEnd]:
    """Of each file as it is now."""
    return [_end(whose, file) for whose, file in _files(settings)]


def _files(settings: Settings) -> Iterator[tuple[str, Path]]:
    head_end = settings.head_end
    if head_end is not None and head_end.tls is not None and head_end.tls.certificate_file:
        yield "ours, as a client of the head end", head_end.tls.certificate_file
    if settings.listener.tls is not None:
        yield "the listener's", settings.listener.tls.certificate_file
    if settings.api.tls is not None:
        yield "the API's", settings.api.tls.certificate_file


def _end(whose: str, file: Path) -> CertificateEnd:
    from adapter.service.certificate_facts import of_file

    try:
        return CertificateEnd(whose=whose, ends=of_file(file).ends)
    except (OSError, ValueError) as error:
        return CertificateEnd(whose=whose, ends=None, problem=str(error))
