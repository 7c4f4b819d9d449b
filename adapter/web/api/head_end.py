"""What is set of the head end and of certificates, as far as people are told of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateEnd:
    """`whose` says for what a certificate is. `ends` None: its file cannot be read, `problem` says
    why."""

    whose: str
    ends: datetime | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadEndFacts:
    """`contract` is where the WSDL comes from, `remarks` what was found odd in it. `certificates`
    reads the files as they are now."""

    name: str
    base_url: str
    contract: str
    remarks: Sequence[str] = ()
    certificates: Callable[[], Sequence[CertificateEnd]] = lambda: ()
