"""Tokens of an OpenID Connect issuer, which a real one on loopback gives out."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from adapter.errors import SettingsError
from adapter.model.values import replace
from adapter.server.settings import OidcSettings, RestSettings, Role
from tests.web.both_servers import KEYS, NOON, TOKENS, Rig, a_rig

AUDIENCE = "openway"
OPS = {"meter-ops": frozenset({Role.READ, Role.OPERATE}), "root": frozenset({Role.ADMIN})}
APART = {
    "ops": frozenset({Role.SWITCH, Role.OPERATE}),
    "second": frozenset({Role.APPROVE}),
}


@dataclass
class AnIssuer:
    """`keys` are those that it shows; `down`: it answers 503."""

    url: str = ""
    keys: dict[str, Any] = field(default_factory=dict)
    down: bool = False
    fetched: int = 0
    told: dict[str, object] = field(default_factory=dict)
    """What the discovery document has in place of the right thing."""
    refuses: dict[str, str] = field(default_factory=dict)
    """What it answers in place of a code."""
    answers: dict[str, Any] = field(default_factory=dict)
    """What it answers in place of the tokens' claims; of `nonce` in that of the id_token."""
    names_itself: bool = True
    asked: list[dict[str, str]] = field(default_factory=list)
    """Requests for tokens, with who asked in `client`."""
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    async def discover(self, request: web.Request) -> web.Response:
        if self.down:
            raise web.HTTPServiceUnavailable
        found = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "end_session_endpoint": f"{self.url}/leave",
            "authorization_response_iss_parameter_supported": True,
            **self.told,
        }
        return web.json_response(found)

    async def show(self, request: web.Request) -> web.Response:
        self.fetched += 1
        if self.down:
            raise web.HTTPServiceUnavailable
        shown = [{**key.as_dict(private=False), "kid": kid} for kid, key in self.keys.items()]
        return web.json_response({"keys": [{"kty": "oct", "k": "AAAA", "kid": "odd"}, *shown]})

    async def authorize(self, request: web.Request) -> web.Response:
        """As if ann had logged in there: the browser is sent back with a code."""
        asked = dict(request.query)
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        back = self.refuses or {"code": code}
        back = {**back, "state": asked["state"]}
        back |= {"iss": self.url} if self.names_itself else {}
        raise web.HTTPFound(f"{asked['redirect_uri']}?{urlencode(back)}")

    async def give_tokens(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        basic = request.headers.get("Authorization", "")
        client = form.get("client_id", "")
        if basic:
            client = base64.b64decode(basic.removeprefix("Basic ")).decode()
        self.asked.append({**form, "client": client})
        asked = self._codes.pop(form["code"], None)
        if self.down:
            raise web.HTTPServiceUnavailable
        if asked is None or asked["redirect_uri"] != form["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != asked["code_challenge"]:
            told = {"error": "invalid_grant", "error_description": "<b>verifier</b>"}
            return web.json_response(told, status=400)
        identity = {"nonce": asked["nonce"], "aud": asked["client_id"], "roles": None}
        claims: dict[str, Any] = {**identity, **self.answers}
        return web.json_response(
            {
                "token_type": "Bearer",
                "access_token": self.token(),
                "id_token": self.token(header={"typ": "JWT"}, **claims),
            }
        )

    def token(
        self,
        kid: str = "one",
        *,
        header: Mapping[str, Any] | None = None,
        key: Any = None,
        **claims: object,
    ) -> str:
        """Of ann, in force for an hour; a claim that is given as None is left out."""
        now = int(NOON.timestamp())
        given = {
            "iss": self.url, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 3600,
            "roles": ["meter-ops"], **claims,
        }  # fmt: skip
        made = {name: value for name, value in given.items() if value is not None}
        head = {"alg": "ES256", "kid": kid, "typ": "at+jwt", **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        signer = key or self.keys[kid]
        return jwt.encode(head, made, signer, [head["alg"]], default_type=None)


@asynccontextmanager
async def an_issuer(host: str = "127.0.0.1") -> AsyncIterator[AnIssuer]:
    """`host` is what its own URL calls it."""
    made = AnIssuer(keys={"one": ECKey.generate_key("P-256")})
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", made.discover)
    app.router.add_get("/keys", made.show)
    app.router.add_get("/authorize", made.authorize)
    app.router.add_post("/token", made.give_tokens)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://{host}:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


@asynccontextmanager
async def a_site(**more: Any) -> AsyncIterator[tuple[Rig, AnIssuer]]:
    async with an_issuer() as issuer:
        given = {"roles": OPS, **more}
        oidc = OidcSettings(issuer=issuer.url, audience=AUDIENCE, **given)
        async with a_rig(rest=RestSettings(keys=KEYS, oidc=oidc)) as rig:
            yield rig, issuer


async def status(rig: Rig, token: str, path: str = "/commands") -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return (await rig.ask("GET", path, by=None, headers=headers)).status


async def test_the_subject_of_a_token_is_who_acts_with_the_roles_of_its_claim() -> None:
    async with a_site() as (rig, issuer):
        headers = {"Authorization": f"Bearer {issuer.token()}"}
        body = {"kind": "load_check", "devices": ["M1"]}
        made = await rig.ask("POST", "/commands", body, by=None, headers=headers)
        assert made.status == 202
        assert made["requester"] == "ann"
        (first, *_) = await rig.gateway.commands.history(made["id"])
        assert first.note.actor == "ann"
        assert await status(rig, issuer.token(), "/keys") == 403
        assert await status(rig, issuer.token(roles=["meter-ops", "root", "x"]), "/keys") == 200
        assert await status(rig, issuer.token(roles=None)) == 403
        assert issuer.fetched == 1
        assert await status(rig, TOKENS["reader"]) == 200  # keys go on beside it


async def test_roles_may_lie_within_other_claims_and_be_words_of_one_text() -> None:
    async with a_site(roles={}, roles_claim="realm_access.roles") as (rig, issuer):
        assert await status(rig, issuer.token(realm_access={"roles": ["read"]})) == 200
        assert await status(rig, issuer.token(realm_access={"roles": "other read"})) == 200
        assert await status(rig, issuer.token(realm_access=["read"])) == 403
        assert await status(rig, issuer.token(roles=["read"])) == 403


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": int(NOON.timestamp()) - 31},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("nan")},
        {"exp": 1e300},
        {"exp": 10**18},
        {"nbf": int(NOON.timestamp()) + 60},
        {"iat": int(NOON.timestamp()) + 60},
        {"aud": "other"},
        {"aud": ["other", "another"]},
        {"aud": None},
        {"iss": "http://127.0.0.1:9"},
        {"iss": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 101},
        {"sub": "\u0430nn"},
        {"sub": "gateway"},
        {"sub": "Reader"},
    ],
    ids=str,
)
async def test_a_token_whose_claims_are_not_right_is_refused(claims: dict[str, Any]) -> None:
    async with a_site() as (rig, issuer):
        assert await status(rig, issuer.token(**claims)) == 401
        assert await status(rig, issuer.token()) == 200


async def test_clocks_may_differ_by_the_leeway() -> None:
    async with a_site() as (rig, issuer):
        now = int(NOON.timestamp())
        assert await status(rig, issuer.token(exp=now - 20, nbf=now + 20, iat=now + 20)) == 200


async def test_a_token_with_another_header_is_refused() -> None:
    async with a_site() as (rig, issuer):
        for header in ({"typ": None}, {"typ": "logout+jwt"}, {"kid": None}, {"kid": "two"}):
            assert await status(rig, issuer.token(header=header)) == 401, header
        assert await status(rig, issuer.token(header={"typ": "application/at+JWT"})) == 200


async def test_a_token_for_another_client_is_refused() -> None:
    async with a_site(clients=("cis",)) as (rig, issuer):
        assert await status(rig, issuer.token(azp="cis")) == 200
        assert await status(rig, issuer.token(client_id="cis")) == 200
        assert await status(rig, issuer.token(azp="portal", client_id="cis")) == 401
        assert await status(rig, issuer.token()) == 401


def forged(token: str, **header: object) -> str:
    """With another header, and no signature."""
    head, claims, _ = token.split(".")
    old = json.loads(base64.urlsafe_b64decode(head + "=="))
    new = json.dumps({**old, **header}).encode()
    return f"{coded(new)}.{claims}."


def coded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def test_no_algorithm_but_those_of_public_keys_is_taken() -> None:
    async with a_site() as (rig, issuer):
        rsa = issuer.keys["rsa"] = RSAKey.generate_key(2048)
        good = issuer.token("rsa", header={"alg": "RS256"})
        assert await status(rig, good) == 200
        for name in ("none", "None", "NONE", "HS256", "RS512", "XX", ""):
            assert await status(rig, forged(good, alg=name)) == 401, name
        unsigned = forged(good, alg="HS256").rstrip(".")  # and signed with the public key
        digest = hmac.digest(rsa.as_pem(private=False), unsigned.encode(), "sha256")
        assert await status(rig, f"{unsigned}.{coded(digest)}") == 401
        other = ECKey.generate_key("P-256")
        assert await status(rig, issuer.token("rsa", key=other)) == 401  # a key of another kind
        assert await status(rig, issuer.token("one", key=other)) == 401
        own = {"jwk": other.as_dict(private=False)}
        assert await status(rig, issuer.token("one", key=other, header=own)) == 401
        head, claims, signature = good.split(".")
        rest = ("", f"{signature[:-4]}AAAA")
        for bad in (*(f"{head}.{claims}.{each}" for each in rest), "a.b.c", "..", "."):
            assert await status(rig, bad) == 401, bad


async def test_an_algorithm_that_is_not_allowed_is_refused() -> None:
    async with a_site(algorithms=frozenset({"RS256"})) as (rig, issuer):
        assert await status(rig, issuer.token()) == 401
    with pytest.raises(SettingsError):
        OidcSettings(issuer="https://x.example", audience="a", algorithms=frozenset())


async def test_a_key_that_is_new_is_fetched_and_names_that_are_invented_are_not() -> None:
    async with a_site() as (rig, issuer):
        assert await status(rig, issuer.token()) == 200
        issuer.keys["two"] = ECKey.generate_key("P-256")
        assert await status(rig, issuer.token("two")) == 401  # fetched a moment ago
        await rig.clock.turn(NOON + timedelta(seconds=31))
        assert await status(rig, issuer.token("two")) == 200
        assert issuer.fetched == 2
        for number in range(20):
            odd = issuer.token("one", header={"kid": f"odd-{number}"})
            assert await status(rig, odd) in (401, 429)
        assert issuer.fetched == 2


async def test_a_key_that_the_issuer_has_withdrawn_is_known_no_more() -> None:
    async with a_site() as (rig, issuer):
        old = issuer.token(exp=int(NOON.timestamp()) + 9000)
        assert await status(rig, old) == 200
        issuer.keys = {"two": ECKey.generate_key("P-256")}
        await rig.clock.turn(NOON + timedelta(seconds=3601))
        assert await status(rig, old) == 200  # fetched beside it
        async with asyncio.timeout(30):
            while await status(rig, old) != 401:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_while_the_issuer_is_down_keys_that_are_kept_go_on_to_their_end() -> None:
    async with a_site() as (rig, issuer):
        now = int(NOON.timestamp())
        assert await status(rig, issuer.token()) == 200
        issuer.down = True
        await rig.clock.turn(NOON + timedelta(hours=23))
        assert await status(rig, issuer.token(exp=now + 90_000)) == 200
        await rig.clock.turn(NOON + timedelta(hours=24))
        assert await status(rig, issuer.token(exp=now + 90_000)) == 401
        assert rig.rest.api.issuer is not None
        assert "503" in await rig.rest.api.issuer.doubt()
        issuer.down = False
        await rig.clock.turn(NOON + timedelta(hours=24, seconds=31))
        assert await status(rig, issuer.token(exp=now + 90_000)) == 200
        assert await rig.rest.api.issuer.doubt() == ""


@pytest.mark.parametrize(
    "told",
    [{"issuer": "https://other.example"}, {"jwks_uri": "http://keys.example/"}, {"jwks_uri": 7}],
    ids=str,
)
async def test_a_discovery_document_of_somebody_else_is_refused(told: dict[str, object]) -> None:
    async with a_site() as (rig, issuer):
        issuer.told = told
        assert await status(rig, issuer.token()) == 401
        assert issuer.fetched == 0


async def test_the_end_of_a_token_ends_what_is_under_way() -> None:
    async with a_site(leeway_s=0.0) as (rig, issuer), asyncio.timeout(20):
        soon = issuer.token(exp=int(NOON.timestamp()) + 1)
        assert await status(rig, soon, "/events?after=newest&wait=50") == 401


async def test_two_people_are_two_also_by_tokens() -> None:
    async with a_site(roles=APART) as (rig, issuer):
        ann = issuer.token(roles=["ops"])
        assert await status(rig, issuer.token(roles=["ops", "second"])) == 401
        body = {
            "kind": "remote_disconnect", "devices": ["M1"], "idempotency_key": "1",
            "past_unclear_order": True,
        }  # fmt: skip
        for sub in ("ann", "Ann", "\uff41nn", "bob"):
            second = issuer.token(roles=["second"], sub=sub)
            headers = {"Authorization": f"Bearer {ann}", "X-Second-Key": second}
            made = await rig.ask("POST", "/commands", body, by=None, headers=headers)
            assert (made["code"] == "second_person_missing") == (sub != "bob"), sub


async def test_who_calls_himself_otherwise_is_no_second_person() -> None:
    """Resolved by the mark of the issuer's `sub`: where both names are at hand, and where the first
    one is stored."""
    apart = {**APART, "root": frozenset({Role.ADMIN, Role.SWITCH})}
    async with a_site(roles=apart, name_claim="name") as (rig, issuer):

        async def resume(sub: str, name: str) -> int:
            token = issuer.token(roles=["root"], sub=sub, name=name)
            headers = {"Authorization": f"Bearer {token}"}
            body = {"reason": "it is over"}
            done = await rig.ask("POST", "/switching/resume", body, by=None, headers=headers)
            return done.status

        await rig.ask("POST", "/switching/stop", {"reason": "smoke"})
        assert await resume("7", "Ann Meyer") == 200
        for sub, name in (("7", "Robert Moor"), ("8", "Ann\u2010Meyer"), ("8", "\u00c1nn Meyer")):
            assert await resume(sub, name) in (401, 403), (sub, name)
        assert (await rig.ask("GET", "/switching"))["stopped"] is True
        assert await resume("8", "Robert Moor") == 200
        assert (await rig.ask("GET", "/switching"))["stopped"] is False


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"issuer": "http://issuer.example"}, "issuer: https"),
        ({"keys_url": "http://issuer.example/keys"}, "keys_url: https"),
        ({"audience": ""}, "audience"),
        ({"roles": {"x": frozenset({Role.SWITCH, Role.APPROVE})}}, "two people"),
        ({"leeway_s": 301.0}, "leeway_s"),
    ],
)
def test_settings_that_would_let_others_in_are_refused(more: dict[str, Any], named: str) -> None:
    good = OidcSettings(issuer="https://issuer.example", audience="a")
    with pytest.raises(SettingsError, match=named):
        replace(good, **more)
