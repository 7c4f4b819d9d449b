"""What certificates say of themselves: for whom, by whom, from when until when."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    names: tuple[str, ...]
    issuer: str
    begins: datetime
    ends: datetime


def facts_of(certificate: x509.Certificate) -> CertificateFacts:
    try:
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(str(each.value) for each in named)
    except (x509.ExtensionNotFound, ValueError):
        names = _common(certificate.subject)
    issuer = _common(certificate.issuer) or (certificate.issuer.rfc4514_string(),)
    return CertificateFacts(
        names=names,
        issuer=issuer[0],
        begins=certificate.not_valid_before_utc,
        ends=certificate.not_valid_after_utc,
    )


def of_der(raw: bytes) -> CertificateFacts:
    """Raises ValueError."""
    return facts_of(x509.load_der_x509_certificate(raw))


def of_file(path: Path) -> CertificateFacts:
    """The first of a PEM file. Raises OSError, ValueError."""
    return facts_of(x509.load_pem_x509_certificates(path.read_bytes())[0])


def _common(name: x509.Name) -> tuple[str, ...]:
    return tuple(str(each.value) for each in name.get_attributes_for_oid(NameOID.COMMON_NAME))
