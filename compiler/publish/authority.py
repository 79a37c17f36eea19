"""Who slmc is for a registry: nobody, a user with a password, or the bearer of a token.

The exchange is that of Docker's token specification: the registry names a token service, which gives a token for the
scope asked for, with OAuth2 where the credential is an identity token.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from compiler.base.codes import Code
from compiler.publish.challenge import Challenge, challenges
from compiler.publish.credentials import Credentials
from compiler.publish.failed import Failed

_CLIENT = "slmc"


class TokenAnswer(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...


Fetch = Callable[[str, str, Mapping[str, str], bytes | None], TokenAnswer]


@dataclass(slots=True)
class Authority:
    """`scope`: what is asked for when the registry does not say, `repository:NAME:pull,push`."""

    credentials: Credentials | None
    scope: str
    encrypted: bool
    """Whether the registry is spoken to over https; then the token service has to be, too."""
    _authorization: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.credentials and self.credentials.token:
            self._authorization = f"Bearer {self.credentials.token}"

    def headers(self) -> dict[str, str]:
        return {"Authorization": self._authorization} if self._authorization else {}

    def obtain(self, header: str, fetch: Fetch) -> bool:
        """Get what a `WWW-Authenticate` header asks for; whether there is something new to try. Raises Failed."""
        asked = {challenge.scheme: challenge for challenge in reversed(challenges(header))}
        before, known = self._authorization, self.credentials
        if "bearer" in asked and not (known and known.token):
            self._authorization = f"Bearer {self._token(asked['bearer'], fetch)}"
        elif "basic" in asked and known and known.username:
            self._authorization = known.basic
        return self._authorization != before

    def _token(self, challenge: Challenge, fetch: Fetch) -> str:
        realm = urlsplit(challenge.parameters.get("realm", ""))
        if realm.scheme not in ("https", "http") or (self.encrypted and realm.scheme != "https"):
            raise Failed(Code.REGISTRY_REFUSED, "The registry names a token service that is not encrypted.")
        service, scope = challenge.parameters.get("service", ""), challenge.parameters.get("scope") or self.scope
        if self.credentials and self.credentials.identity:
            form = {
                "grant_type": "refresh_token",
                "service": service,
                "scope": scope,
                "client_id": _CLIENT,
                "refresh_token": self.credentials.identity,
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return _read(fetch("POST", urlunsplit(realm), headers, urlencode(form).encode()), realm.netloc)
        query = [*parse_qsl(realm.query), *([("service", service)] if service else [])]
        query += [("scope", one) for one in scope.split(" ")]
        headers = {"Authorization": self.credentials.basic} if self.credentials and self.credentials.username else {}
        return _read(fetch("GET", urlunsplit(realm._replace(query=urlencode(query))), headers, None), realm.netloc)


def _read(answer: TokenAnswer, host: str) -> str:
    if answer.status in (400, 401, 403):
        raise Failed(
            Code.REGISTRY_REFUSED,
            f"The token service `{host}` refuses the credentials, or going without ({answer.status}).",
            "Log in with `docker login` or `podman login`; `slmc explain SLM810` says where else to put them.",
        )
    try:
        data = json.loads(answer.body)
        token = data.get("token") or data["access_token"]
    except (ValueError, KeyError, TypeError, AttributeError):
        token = None
    if answer.status != 200 or not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise Failed(Code.REGISTRY_REFUSED, f"The token service `{host}` gives no token ({answer.status}).")
    return token
