"""THE TABLE of findings: how bad each is, what is said, why it matters, and what to do.

Words in braces are filled in where it is found. `docs/doctor.md` is made from this table.
"""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Level(StrEnum):
    """How bad a finding is: with a fault the gateway does not work, or not for long."""

    FAULT = "fault"
    WARNING = "warning"
    INFO = "info"


class Area(StrEnum):
    """What is looked at."""

    SETTINGS = "settings"
    MACHINE = "machine"
    KEYS = "keys"
    STORE = "store"
    HEAD_END = "head end"
    CONTRACT = "contract"
    CALLBACK = "callback"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingKind:
    """One row. `action` is a command or a setting where there is one."""

    area: Area
    level: Level
    what: str
    why: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorFinding:
    """What was found, in words."""

    code: str
    area: Area
    level: Level
    what: str
    why: str
    action: str

    @classmethod
    def of(cls, code: str, **words: object) -> "DoctorFinding":
        """Of a row of the table, with its words filled in."""
        kind = FINDINGS[code]
        return cls(
            code=code,
            area=kind.area,
            level=kind.level,
            what=kind.what.format(**words),
            why=kind.why,
            action=kind.action.format(**words),
        )


def _row(area: Area, level: Level, what: str, why: str, action: str) -> FindingKind:
    return FindingKind(area=area, level=level, what=what, why=why, action=action)


A, L = Area, Level
_SHOW: Final = "`openway config show` prints every setting and where it comes from"
_RENEW: Final = "get a new certificate, put it in the place of {file}, and restart the gateway"

FINDINGS: Final = MappingProxyType(
    {
        # ------------------------------------------------------------ settings
        "setting_bad": _row(
            A.SETTINGS, L.FAULT, "{problem}", "a start stops at it",
            f"correct it in the settings file or the environment; {_SHOW}",
        ),
        "not_looked_at": _row(
            A.SETTINGS, L.INFO, "not looked at: {areas}, as the settings cannot be read",
            "more may be wrong there", "correct the settings, then run `openway doctor` again",
        ),
        "settings_file_bad": _row(
            A.SETTINGS, L.FAULT, "{problem}", "a start stops at a file that cannot be used",
            "put a good file there, or correct the setting; then `openway config check`",
        ),
        "zone_unknown": _row(
            A.SETTINGS, L.FAULT, "{problem}", "times without an offset could not be read",
            "set contract.time_zone to a name of the IANA list, as Europe/Berlin",
        ),
        "zone_data_missing": _row(
            A.SETTINGS, L.FAULT, "the data of time zone {zone} are not on this machine",
            "days of reads and windows of disconnects would be cut wrong",
            "pip install tzdata, or the system's package of that name",
        ),
        "zone_unset": _row(
            A.SETTINGS, L.WARNING, "times without an offset are read in UTC",
            "readings and events of a site in another zone are put at wrong times",
            "set contract.time_zone, or time.zone of intake.tables, to the zone of the site",
        ),
        "head_end_unset": _row(
            A.SETTINGS, L.FAULT, "head_end.base_url is not set", "the gateway cannot serve",
            "set head_end.base_url to the URL of the head end",
        ),
        "secret_open": _row(
            A.SETTINGS, L.WARNING, "{problem}", "who reads a secret can use it",
            "take the right away, as it says; replace the secret if others were on this machine",
        ),
        # ------------------------------------------------------------ machine
        "python_old": _row(
            A.MACHINE, L.FAULT, "Python {found} is older than {needed}",
            "the gateway was not made for it", "install Python {needed} and make a new environment",
        ),
        "package_missing": _row(
            A.MACHINE, L.FAULT, "the package {package} is not installed",
            "the gateway needs it",
            "pip install '{requirement}' -c constraints.txt",
        ),
        "package_old": _row(
            A.MACHINE, L.FAULT, "{package} {found} is installed; needed is {requirement}",
            "the gateway was made for, and tried with, other versions",
            "pip install '{requirement}' -c constraints.txt",
        ),
        "uvloop_absent": _row(
            A.MACHINE, L.INFO, "uvloop is not installed",
            "everything works, and takes more CPU", "pip install uvloop -c constraints.txt",
        ),
        "port_taken": _row(
            A.MACHINE, L.FAULT, "{section}: {address} is taken, and not by this gateway",
            "a start stops at it",
            "find who has it with `ss -ltnp 'sport = :{port}'`, or set another {section}.port",
        ),
        "address_bad": _row(
            A.MACHINE, L.FAULT, "{section}: {address} cannot be listened at: {reason}",
            "a start stops at it", "set {section}.host to an address of this machine",
        ),
        # ------------------------------------------------------------ keys
        "key_bad": _row(
            A.KEYS, L.FAULT, "{problem}", "a start stops at it; a gateway that runs keeps the "
            "keys from before",
            "remove the line from the file of api.keys_file; `openway config new-key NAME ROLES "
            "--append` writes a good one",
        ),
        "key_file_missing": _row(
            A.KEYS, L.FAULT, "{problem}", "a start stops at it; a gateway that runs keeps the "
            "keys from before",
            "`openway config new-key NAME ROLES --append` makes the file; or correct "
            "api.keys_file, if it names the wrong one",
        ),
        "keys_none": _row(
            A.KEYS, L.FAULT, "there is no API key and no issuer of tokens",
            "nobody is let in by the REST API",
            "set api.keys_file; `openway config new-key NAME ROLES --append` makes a key",
        ),
        "key_no_admin": _row(
            A.KEYS, L.WARNING, "no key in force has the role admin",
            "nobody can load master data, judge quarantine again or confirm a hold",
            "`openway config new-key NAME admin --append`",
        ),
        "key_expired": _row(
            A.KEYS, L.WARNING, "the key {key} of {name} ended at {at}", "who has it is refused",
            "`openway keys withdraw {key}`; `openway config new-key {name} {roles} --append`",
        ),
        "key_ends_soon": _row(
            A.KEYS, L.WARNING, "the key {key} of {name} ends at {at}",
            "who has it is refused from then on",
            "`openway config new-key {name} {roles} --append`, and hand out its token before",
        ),
        "key_in_clear": _row(
            A.KEYS, L.WARNING, "tokens stand in clear in the file of keys: {names}",
            "who reads the file, or a copy of it, has them", "`openway config hash-keys`",
        ),
        "issuer_not_reached": _row(
            A.KEYS, L.FAULT, "the issuer of tokens {issuer}: {problem}",
            "its tokens are refused, and nobody logs in there; keys are taken",
            "compare api.oidc with what the issuer says at "
            "{issuer}/.well-known/openid-configuration, and see to name resolution and firewalls",
        ),
        # ------------------------------------------------------------ store
        "store_absent": _row(
            A.STORE, L.INFO, "there is no store at {file} yet", "the first start makes it",
            "if there should be one, store.path names the wrong file",
        ),
        "store_read_only": _row(
            A.STORE, L.FAULT, "{file} cannot be written", "nothing can be acknowledged",
            "give {file} to the user that runs the gateway, with mode 600 (folders: 700)",
        ),
        "store_open": _row(
            A.STORE, L.WARNING, "{file} can be read by others (mode {mode})",
            "it holds who lives where and whose supply was cut", "chmod go= {file}",
        ),
        "disk_low": _row(
            A.STORE, L.FAULT,
            "{free} MiB are free on the disk of {file}; {needed} MiB are the least",
            "refused messages are kept no more; full, the gateway stops",
            "make room, shorten retention.*, or `openway retention run`",
        ),
        "store_newer": _row(
            A.STORE, L.FAULT, "{file}: {problem}", "this program cannot open it",
            "install the version that wrote it, or `openway restore` an older backup",
        ),
        "store_unreadable": _row(
            A.STORE, L.FAULT, "{file}: {problem}", "the gateway does not start with it",
            "if the file is another program's, correct store.path; else `openway restore DIR`",
        ),
        "store_damaged": _row(
            A.STORE, L.FAULT, "{file} is damaged: {problem}",
            "rows are lost or wrong, and the gateway stops when it meets them",
            "stop the gateway, keep a copy of the file, then `openway restore DIR --replace`",
        ),
        "store_not_whole": _row(
            A.STORE, L.INFO, "{file} was not looked through to its end in {seconds:g} s",
            "damage past that point is not known", "`openway doctor --within SECONDS` with more",
        ),
        "clock_behind_store": _row(
            A.STORE, L.FAULT, "the clock shows {now}, the store's last entry is of {last}",
            "switch orders are held until the clock is believed",
            "set the clock (`timedatectl set-ntp true`), then `openway clock`",
        ),
        # ------------------------------------------------------------ head end
        "head_end_name_unknown": _row(
            A.HEAD_END, L.FAULT, "the name {host} is not known to this machine",
            "no command can be sent", "correct head_end.base_url, or the resolver of this machine",
        ),
        "head_end_unreachable": _row(
            A.HEAD_END, L.FAULT, "no connection to {address}: {reason}", "no command can be sent",
            "look at firewall and head end; `nc -vz {host} {port}` must connect",
        ),
        "head_end_silent": _row(
            A.HEAD_END, L.FAULT, "{address} takes connections and gives no answer in {seconds:g} s",
            "calls end unclear, and switch orders wait for people",
            "ask who runs the head end; look at proxies between",
        ),
        "head_end_certificate_expired": _row(
            A.HEAD_END, L.FAULT, "the certificate of {address} has ended (at {at})",
            "no connection is made", "the head end needs a new certificate",
        ),
        "head_end_certificate_early": _row(
            A.HEAD_END, L.FAULT, "the certificate of {address} begins at {at}",
            "no connection is made before",
            "look at the clock of this machine; else the head end needs another certificate",
        ),
        "head_end_certificate_soon": _row(
            A.HEAD_END, L.WARNING, "the certificate of {address} ends at {at}",
            "from then on no connection is made", "ask who runs the head end for a new one",
        ),
        "head_end_certificate_issuer": _row(
            A.HEAD_END, L.FAULT, "the certificate of {address}, by {issuer}, is of no authority "
            "that is believed: {reason}",
            "no connection is made",
            "put the authority that issued it into the file of head_end.tls.ca_file",
        ),
        "head_end_certificate_name": _row(
            A.HEAD_END, L.FAULT, "the certificate of {address} is for {names}",
            "no connection is made",
            "set head_end.tls.server_name to one of these, or use that name in head_end.base_url",
        ),
        "tls_failed": _row(
            A.HEAD_END, L.FAULT, "no TLS, or no HTTP, with {address}: {reason}",
            "no call is answered",
            "http or https in head_end.base_url must be what is spoken there, in TLS 1.2 or later",
        ),
        "client_certificate_missing": _row(
            A.HEAD_END, L.FAULT,
            "{address} wants a certificate of ours, by what it ends with ({reason}); none is set",
            "no call is taken",
            "set head_end.tls.certificate_file and head_end.tls.key_file",
        ),
        "client_certificate_refused": _row(
            A.HEAD_END, L.FAULT, "{address} does not take our certificate {file}: {reason}",
            "no call is taken",
            "the head end must believe its issuer; else set another head_end.tls.certificate_file",
        ),
        "client_certificate_expired": _row(
            A.HEAD_END, L.FAULT, "our certificate {file} has ended (at {at})",
            "the head end takes no call", _RENEW,
        ),
        "client_certificate_soon": _row(
            A.HEAD_END, L.WARNING, "our certificate {file} ends at {at}",
            "from then on the head end takes no call", _RENEW,
        ),
        "clock_off": _row(
            A.HEAD_END, L.FAULT, "this clock and the head end's differ by {seconds:.0f} s",
            "WS-Security headers are refused, dated orders leave at the wrong time",
            "`timedatectl set-ntp true` here; if this clock is right, the head end's is wrong",
        ),
        "credentials_refused": _row(
            A.HEAD_END, L.FAULT, "{address} refuses our credentials: {reason}", "no call is taken",
            "correct {setting} (its file, not the settings file, has the password)",
        ),
        "credentials_unproven": _row(
            A.HEAD_END, L.WARNING, "whether {address} takes our calls is not clear: {reason}",
            "a status of a request that nobody made was asked for, and not answered as it should",
            "look at the head end's log of GetRequestStatus; `openway wsdl fetch` and `check`",
        ),
        # ------------------------------------------------------------ contract
        "contract_not_served": _row(
            A.CONTRACT, L.WARNING, "{address} does not give its WSDL: {reason}",
            "whether the contract is still the one that is used cannot be told",
            "ask for the files, put them into a folder, and `openway wsdl check DIR`",
        ),
        "contract_breaks": _row(
            A.CONTRACT, L.FAULT, "{operation}: {problem}; breaks {commands}",
            "these commands fail at this head end",
            "`openway wsdl fetch {url} --to DIR`, `openway wsdl check DIR`, and ask who runs the "
            "head end; leave the kinds out of engine.kinds meanwhile",
        ),
        "contract_differs": _row(
            A.CONTRACT, L.WARNING,
            "{operation}: ours and the head end's contract differ: {difference}",
            "messages are written by a contract that the head end does not have",
            "`openway wsdl fetch {url} --to DIR`, then contract.wsdl = DIR and a restart",
        ),
        # ------------------------------------------------------------ callbacks
        "callback_local": _row(
            A.CALLBACK, L.WARNING, "callbacks are asked for at {url}, an address of this machine "
            "alone",
            "a head end on another machine cannot call back; commands end by polling, late",
            "set listener.public_url to the URL of the listener as the head end sees it",
        ),
        "callback_unreachable": _row(
            A.CALLBACK, L.FAULT, "nobody answers at {url}: {reason}",
            "the head end cannot call back; commands end by polling, late, and data are lost",
            "correct listener.public_url, or open the way: proxy, firewall, name",
        ),
        "callback_other_server": _row(
            A.CALLBACK, L.FAULT, "another server answers at {url}: {answer}",
            "callbacks do not reach this gateway",
            "correct listener.public_url (and listener.path_prefix), or the proxy's target",
        ),
        "callback_header_lost": _row(
            A.CALLBACK, L.FAULT, "on the way to {url} these headers are lost: {headers}",
            "callbacks without them are refused, or not understood",
            "have the proxy hand them on unchanged",
        ),
        "callback_certificate": _row(
            A.CALLBACK, L.FAULT, "the certificate at {url}: {reason}",
            "a head end that checks it does not call back",
            "put a good certificate where TLS ends: listener.tls.certificate_file, or the proxy",
        ),
        "callback_issuer": _row(
            A.CALLBACK, L.WARNING, "the certificate at {url} is of an authority that this machine "
            "does not know",
            "whether the head end believes it cannot be told from here",
            "`openway doctor --callback-ca FILE` with the authority that the head end believes",
        ),
        "callback_wants_certificate": _row(
            A.CALLBACK, L.INFO, "{url} wants a certificate of the caller: {reason}",
            "the way is open to TLS; what is behind it was not tried",
            "`openway doctor --callback-certificate FILE --callback-key FILE` of the head end",
        ),
        "callback_unproven": _row(
            A.CALLBACK, L.INFO, "the callback address was not called: {reason}",
            "whether the head end can call back is not known",
            "start the gateway, set api.key to a key with the role admin, and ask again",
        ),
        "listener_certificate_expired": _row(
            A.CALLBACK, L.FAULT, "the listener's certificate {file} has ended (at {at})",
            "a head end that checks it does not call back", _RENEW,
        ),
        "listener_certificate_soon": _row(
            A.CALLBACK, L.WARNING, "the listener's certificate {file} ends at {at}",
            "from then on the head end does not call back", _RENEW,
        ),
        "api_certificate_expired": _row(
            A.GATEWAY, L.FAULT, "the API's certificate {file} has ended (at {at})",
            "systems and people that check it do not call", _RENEW,
        ),
        "api_certificate_soon": _row(
            A.GATEWAY, L.WARNING, "the API's certificate {file} ends at {at}",
            "from then on systems and people that check it do not call", _RENEW,
        ),
        # ------------------------------------------------------------ gateway
        "gateway_stopped": _row(
            A.GATEWAY, L.INFO, "no gateway answers at {url}: {reason}",
            "only settings, files and the head end were looked at", "`openway serve` starts it",
        ),
        "gateway_key_refused": _row(
            A.GATEWAY, L.WARNING, "the gateway refuses the key of this command line: {reason}",
            "what only the gateway knows was not looked at",
            "set api.key_file or OPENWAY_API_KEY to a token with the role admin",
        ),
        "gateway_degraded": _row(
            A.GATEWAY, L.WARNING, "the gateway says: {problem}", "people have to see to it",
            "`openway todo` lists what waits for people",
        ),
        "switch_held": _row(
            A.GATEWAY, L.WARNING, "connects and disconnects are held ({reason}): {text}",
            "no switch order leaves", "{action}",
        ),
        "subscription_missing": _row(
            A.GATEWAY, L.FAULT, "the subscription for {kind} at {address} is not there: {detail}",
            "the head end sends us none of them", "`openway subscriptions check`",
        ),
        "arrivals_silent": _row(
            A.GATEWAY, L.WARNING, "nothing has arrived since {last}; too quiet since {since}",
            "readings and events are missing", "`openway subscriptions show`, then the head end",
        ),
        "check_timed_out": _row(
            A.GATEWAY, L.WARNING, "the look at {area} did not end in {seconds:g} s",
            "what comes after that point was not looked at",
            "`openway doctor --within SECONDS` with more",
        ),
        "check_failed": _row(
            A.GATEWAY, L.WARNING, "the look at {area} failed: {reason}",
            "the rest of it was not looked at", "report it: it is a defect of the doctor",
        ),
    }
)  # fmt: skip
