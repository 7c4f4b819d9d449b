"""TLS of the simulated head end: what it shows its callers, and whom it trusts when it calls."""

import ssl
from functools import cache

from adapter.errors import SettingsError
from adapter.simulator.settings import SimulatorTls


def server_context(tls: SimulatorTls) -> ssl.SSLContext | None:
    """What the services are served with; None is plain http. Raises SettingsError."""
    if not tls.certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _identify(context, tls.certificate, tls.key, "tls.certificate")
    if tls.caller_ca:
        _trust(context, tls.caller_ca, "tls.caller_ca")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def callback_context(tls: SimulatorTls) -> ssl.SSLContext:
    """What callbacks to https addresses are sent with. Raises SettingsError."""
    if not tls.callback_ca and not tls.callback_certificate:
        return _trusting_the_system()
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.callback_ca:
        _trust(context, tls.callback_ca, "tls.callback_ca")
    if tls.callback_certificate:
        _identify(context, tls.callback_certificate, tls.callback_key, "tls.callback_certificate")
    return context


@cache
def _trusting_the_system() -> ssl.SSLContext:
    """Nobody changes it, so that one does: to read the system's authorities takes a while."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _identify(context: ssl.SSLContext, certificate: str, key: str, at: str) -> None:
    try:
        context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"{at}: {certificate} with its key cannot be used: {error}") from error


def _trust(context: ssl.SSLContext, file: str, at: str) -> None:
    try:
        context.load_verify_locations(file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"{at}: {file} cannot be used: {error}") from error
