"""Callbacks that the head end did not send: forged, crossed and repeated ones, by kind.

The attacker may know all that a thief of one callback knows: the credentials of the head end, a
token, a genuine address. What he tells may make the gateway ask the head end; it may end nothing.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from adapter.commands.calls import RemoteResult, RemoteState
from adapter.engine.commands.identity import STATUS_PATH
from adapter.server.credentials import basic_header_of
from tests.attack.report import Kind
from tests.attack.target import USER, Order, Target, head, request
from tests.web.both_servers import data_arrived, status_changed

WCF_CALLBACKS: Final = 50
_STATES: Final = [
    (state, result)
    for state in RemoteState
    for result in RemoteResult
    if RemoteState.UNKNOWN is not state and result.value != "Unknown"
]
_WITHOUT_EFFECT: Final = frozenset({"parked", "ignored", "applied"})
"""What may become of a message that is one of the protocol; whether it has changed anything is
judged by what stands afterwards."""

Forgeries = Iterator[tuple[str, bytes]]


async def forged_callbacks(target: Target, *, every: int) -> list[Kind]:
    """Each `every`-th of a kind."""
    kinds = []
    for name, (make, may_become) in _KINDS.items():
        kind = Kind(name=name)
        before = await target.standing()
        for title, message in list(make(target))[::every]:
            await target.measured(kind, title, message)
        if make in (_claims, _repeated):
            await target.asked_again()
        after = await target.standing()
        more = after.more(before)
        kind.kept = more["quarantined"]
        kind.without_effect = sum(more[state] for state in may_become)
        kind.refused = kind.tried - kind.without_effect
        kind.wrong += [
            f"{name}: {count} became {state}"
            for state, count in more.items()
            if state not in {"quarantined", *may_become}
        ]
        kind.wrong += [f"{name}: {each}" for each in after.changes(before)]
        kinds.append(kind)
    return kinds


async def client_that_asks_first(target: Target) -> Kind:
    """As WCF does it: without credentials, and after the challenge with them. All are honest: it is
    wrong when one is refused, or leaves a row in quarantine."""
    kind = Kind(name="WCF: first 401, then credentials")
    before = await target.standing()
    body, path = data_arrived(), "/openway/data"
    for number in range(WCF_CALLBACKS):
        asked = await target.measured(kind, "asked", request(path, body, known=False))
        told = await target.measured(kind, "told", request(path, body))
        if (asked, told) != (401, 200):
            kind.wrong.append(f"{kind.name}: callback {number} was answered {asked}, {told}")
    more = (await target.standing()).more(before)
    kind.kept, kind.refused = more["quarantined"], WCF_CALLBACKS
    kind.without_effect = more["stored"] + more["loaded"] + more["applied"]
    if kind.kept:
        kind.wrong.append(f"{kind.name}: {kind.kept} rows in quarantine")
    return kind


def _path(order: Order) -> str:
    return urlsplit(order.url).path


def _wrong_secrets(target: Target) -> Forgeries:
    first, other = (_path(each) for each in target.orders[:2])
    address, _, secret = first.rpartition("/")
    flipped = ("0" if secret[0] != "0" else "1") + secret[1:]
    made = {
        "one digit": flipped,
        "of another order": other.rpartition("/")[2],
        "upper case": secret.upper(),
        "cut short": secret[:-1],
        "longer": secret + "0",
        "nothing like one": "x",
        "zeros": "0" * len(secret),
        "escaped": "%2e%2e",
        "of 5,000 digits": "0" * 5_000,
    }
    made |= {f"guessed {n}": secrets.token_hex(len(secret) // 2) for n in range(20)}
    body = status_changed(target.orders[0].token)
    for name, given in made.items():
        if given != secret:
            yield name, request(f"{address}/{given}", body)


def _crossed(target: Target) -> Forgeries:
    """The address of one order, the token of another."""
    orders = [*target.orders, target.done]
    for at in orders:
        for of in orders:
            if at is not of:
                for state in (RemoteState.COMPLETED, RemoteState.EXECUTING):
                    yield (
                        f"{state} of another",
                        request(_path(at), status_changed(of.token, state=state)),
                    )


def _unknown(target: Target) -> Forgeries:
    for number in range(20):
        token = str(UUID(int=number + 1, version=4))
        yield f"token {number}", request(STATUS_PATH, status_changed(token))
        yield (
            f"token {number}, addressed",
            request(_path(target.orders[0]), status_changed(str(UUID(int=number + 99, version=4)))),
        )


def _claims(target: Target) -> Forgeries:
    """Every end there is, by somebody who knows the token; at the address without and with a
    secret."""
    for order in target.orders:
        for path in (STATUS_PATH, _path(order)):
            for state, result in _STATES:
                yield (
                    f"{state} {result}",
                    request(path, status_changed(order.token, state=state, result=result)),
                )


def _odd_claims(target: Target) -> Forgeries:
    order = target.orders[0]
    good = status_changed(order.token).decode()
    for text in (
        good.replace(">1<", ">-1<"),
        good.replace("Completed", "Done"),
        good.replace("Success<", "Perhaps<"),
    ):
        yield text[-300:-260], request(_path(order), text.encode())


def _repeated(target: Target) -> Forgeries:
    """To an order that is completed: the same again, and every other end."""
    for path in (STATUS_PATH, _path(target.done)):
        for state, result in _STATES:
            for time in range(2):
                yield (
                    f"{state} {result} {time}",
                    request(path, status_changed(target.done.token, state=state, result=result)),
                )


def _strangers(target: Target) -> Forgeries:
    body = status_changed(target.orders[0].token)
    length = f"Content-Length: {len(body)}"
    for given in (
        basic_header_of(USER, "guessed"),
        basic_header_of("root", "a password: of the head end"),
        basic_header_of(USER, ""),
        "Basic",
        "Basic !!!!",
        "Basic " + "A" * 6_000,
        "Bearer abc",
        "Negotiate",
    ):
        message = head(_path(target.orders[0]), length, f"Authorization: {given}", known=False)
        yield given[:40], message + body


_KINDS: Final[Mapping[str, tuple[Callable[[Target], Forgeries], frozenset[str]]]] = {
    "callbacks: wrong secret": (_wrong_secrets, frozenset()),
    "callbacks: wrong credentials": (_strangers, frozenset()),
    "callbacks: crossed tokens": (_crossed, frozenset()),
    "callbacks: unknown tokens": (_unknown, frozenset({"parked"})),
    "callbacks: invented ends": (_claims, _WITHOUT_EFFECT),
    "callbacks: words nobody knows": (_odd_claims, _WITHOUT_EFFECT),
    "callbacks: repeats, late ends": (_repeated, _WITHOUT_EFFECT),
}
