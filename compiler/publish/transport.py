"""HTTP to one registry: connections, authentication, what is tried again. urllib3 does the protocol.

urllib3 and not httpx or requests: it needs no other package, and takes a file's part as a body without holding it. Its
certificates are the system's, `$SSL_CERT_FILE` and the proxies of the environment count.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO
from urllib.parse import urljoin, urlsplit, urlunsplit

import urllib3

from compiler.base.codes import Code
from compiler.publish.authority import Authority
from compiler.publish.failed import Failed
from compiler.publish.patience import PIECE, Broken, Patience

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_LATER = (408, 429, 500, 502, 503, 504)

Response = urllib3.BaseHTTPResponse


@dataclass(frozen=True, slots=True)
class Answer:
    """A short answer with its whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Body = Callable[[], IO[bytes]]
"""Makes a request's body, once for each time that it is sent."""


@dataclass(slots=True)
class Transport:
    """`base` is the registry's address; only it gets credentials."""

    base: str
    authority: Authority
    pool: urllib3.PoolManager = field(init=False)

    def __post_init__(self) -> None:
        self.pool = pool(self.base)

    def once(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | Body | None = None
    ) -> Response:
        """One answer, whatever its status but for those that mean `later`; its body is not read yet.

        A `body` that is made anew for each attempt needs a `Content-Length` in `headers`. Raises Broken, Failed.
        """
        target, sent = self._next(self.base, url), dict(headers or {})
        for _ in range(_MOST_REDIRECTS):
            response = self._authorized(method, target, sent, body)
            if response.status not in _REDIRECTS or method not in ("GET", "HEAD") or "Location" not in response.headers:
                return response
            response.release_conn()
            target = self._next(target, response.headers["Location"])
        raise Failed(Code.REGISTRY_REFUSED, f"{_shown(target)} leads in a circle.")

    def patiently(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Body | None = None,
        patience: Patience | None = None,
    ) -> Answer:
        """The same, tried again as long as that may help, with the whole body read. For what may be sent twice."""
        patience = patience or Patience()
        while True:
            try:
                return whole(self.once(method, url, headers, body))
            except Broken as broken:
                patience.wait(broken)

    def _authorized(self, method: str, url: str, headers: dict[str, str], body: bytes | Body | None) -> Response:
        """With the authorization that the registry asks for, when the address is the registry's."""
        own = origin(url) == origin(self.base)
        response = self._send(method, url, headers | (self.authority.headers() if own else {}), body)
        if response.status == 401 and own:
            whole(response)
            asked = response.headers.get("WWW-Authenticate", "")
            if self.authority.obtain(asked, self._fetch):
                response = self._send(method, url, headers | self.authority.headers(), body)
        return response

    def _fetch(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """For the token service, which may be another host."""
        return whole(self._send(method, urljoin(self.base, url), headers, body))

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | Body | None) -> Response:
        made = body() if callable(body) else body
        try:
            response = self.pool.urlopen(
                method, url, body=made, headers=dict(headers), redirect=False, retries=False, preload_content=False
            )
        except (urllib3.exceptions.LocationValueError, UnicodeError):
            raise Failed(Code.REGISTRY_REFUSED, f"{_shown(url)} is not an address.") from None
        except urllib3.exceptions.SSLError as error:
            raise Failed(
                Code.REGISTRY_UNREACHABLE,
                f"{_shown(url)} cannot be spoken to by TLS: {_reason(error)}.",
                "$SSL_CERT_FILE may name a certificate to trust; `--plain-http` is for a registry on this machine.",
            ) from None
        except urllib3.exceptions.HTTPError as error:
            raise Broken(f"{_shown(url)} does not answer: {_reason(error)}") from None
        if response.status in _LATER:
            whole(response)
            raise Broken(f"{_shown(url)} answers {response.status}", _pause(response))
        return response

    def _next(self, url: str, location: str) -> str:
        """Where `location` leads. Registries behind a proxy that ends TLS may believe that all is http."""
        target = urljoin(url, location)
        before, after = urlsplit(url), urlsplit(target)
        if before.scheme != "https" or after.scheme == "https":
            return target
        if after.netloc == before.netloc:
            return urlunsplit(after._replace(scheme="https"))
        raise Failed(Code.REGISTRY_REFUSED, f"{_shown(url)} leads to {_shown(target)}, which is not encrypted.")


def pool(base: str) -> urllib3.PoolManager:
    """Connections, by the environment's proxy for that address if there is one."""
    timeout = urllib3.Timeout(connect=20, read=300)
    split = urlsplit(base)
    proxy = urllib.request.getproxies().get(split.scheme)
    if proxy and not urllib.request.proxy_bypass(split.hostname or ""):
        login = urllib3.util.parse_url(proxy).auth
        headers = urllib3.make_headers(proxy_basic_auth=login) if login else None
        return urllib3.ProxyManager(proxy, proxy_headers=headers, timeout=timeout, blocksize=PIECE)
    return urllib3.PoolManager(timeout=timeout, blocksize=PIECE)


def whole(response: Response, most: int = 4 * PIECE) -> Answer:
    """The answer with its body. Raises Broken; Failed for one that does not end."""
    data = b""
    while piece := next_piece(response):
        data += piece
        if len(data) > most:
            response.close()
            raise Failed(Code.REGISTRY_REFUSED, "An answer is longer than anything that a registry has to say.")
    response.release_conn()
    return Answer(response.status, response.headers, data)


def next_piece(response: Response) -> bytes:
    """Up to PIECE bytes more of the body; empty at its end. Raises Broken."""
    try:
        return response.read1(PIECE)
    except urllib3.exceptions.HTTPError as error:
        response.close()
        raise Broken(f"The connection broke: {_reason(error)}") from None


def origin(url: str) -> tuple[str, str]:
    split = urlsplit(url)
    return split.scheme, split.netloc.lower()


def _shown(url: str) -> str:
    """Without its query: that of an upload is as good as a key."""
    split = urlsplit(url)
    return f"`{split.scheme}://{split.netloc}{split.path}`"


def _reason(error: Exception) -> str:
    inner = error.__cause__ or getattr(error, "reason", None) or error
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return str(text).rstrip(".").splitlines()[0]


def _pause(response: Response) -> float | None:
    """Seconds of `Retry-After`. A date is not looked at: slmc's own pauses do then."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None
