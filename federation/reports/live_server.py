"""Campaigns in a browser of this machine: one that reads, over loopback, and nothing else.

No path of a request is ever a path of the disk: a campaign is found by the name of a folder that
was listed, and what is sent of its page lies in the folder that it was drawn in. Another site that
a browser of this machine has open reaches nothing: whoever asks must ask for this very address, so
a name that a foreign server points at loopback is refused, and no site may set a page in a frame.
"""

from __future__ import annotations

import html
import os
import socketserver
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from gridproof.federation.plain_text import shown
from gridproof.federation.reports.live import Campaigns, Seen
from gridproof.federation.reports.page import PAGE
from gridproof.federation.wording import whole
from gridproof.scenarios.errors import ConfigError, GridproofError

__all__ = ["LOOPBACK", "PageServer"]

LOOPBACK = "127.0.0.1"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".csv": "text/csv; charset=utf-8",
}
_READ_S = 10.0  # for a request to come whole
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}th,td{text-align:left;padding:.3rem 1rem .3rem 0;"
    "border-bottom:1px solid #bbb;vertical-align:top}"
)


class PageServer(ThreadingHTTPServer):
    """Serves the pages of campaigns to this machine until it is shut down.

    Parameters
    ----------
    campaigns
        What is shown.
    port
        Of loopback; 0 for any that is free.

    Raises
    ------
    ConfigError
        If the port is taken, or not ours to take.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = os.name != "nt"  # where it means that a second server may take it over

    def __init__(self, campaigns: Campaigns, port: int) -> None:
        self.campaigns = campaigns
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"--port {port}: {getattr(error, 'strerror', None) or error}; give another, or 0 "
                "for any that is free"
            ) from error
        own = self.server_address[1]
        self.hosts = {f"{name}:{own}" for name in (LOOPBACK, "localhost")}

    def server_bind(self) -> None:
        """Bind; nobody is asked for the name of this machine, which may take seconds."""
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that has gone."""

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"http://{LOOPBACK}:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    """One request: GET or HEAD of a page, or of a file beside it."""

    server: PageServer
    timeout = _READ_S
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0].lower() not in self.server.hosts:
            self._say(HTTPStatus.FORBIDDEN, f"ask for {self.server.address}")
            return
        path = urlsplit(self.path).path
        if path == "/":
            self._list()
            return
        first, _, rest = path.removeprefix("/").partition("/")
        name = unquote(first)
        if name not in self.server.campaigns.names():
            self._say(HTTPStatus.NOT_FOUND, "there is no such campaign here")
        elif not rest and not path.endswith("/"):
            self._send(HTTPStatus.MOVED_PERMANENTLY, b"", ".html", {"Location": f"/{quote(name)}/"})
        else:
            self._campaign(name, [unquote(part) for part in rest.split("/")])

    def __getattr__(self, name: str) -> Any:
        """Answer HEAD as GET, without the body, and every other method by a refusal."""
        if not name.startswith("do_"):
            raise AttributeError(name)
        return self.do_GET if name == "do_HEAD" else self._refuse

    def _refuse(self) -> None:
        self._say(HTTPStatus.METHOD_NOT_ALLOWED, "this server reads only", {"Allow": "GET, HEAD"})

    def _list(self) -> None:
        campaigns = self.server.campaigns
        seen = [campaigns.seen(name) for name in campaigns.names()]
        rows = "".join(map(_row, seen)) or "<tr><td>No campaign yet.</td></tr>"
        text = (
            f"<h1>Campaigns</h1><table><thead><tr><th>name</th><th>state</th><th>realizations</th>"
            f"</tr></thead><tbody>{rows}</tbody></table>"
        )
        self._page("Campaigns", text, again=any(one.running for one in seen))

    def _campaign(self, name: str, parts: list[str]) -> None:
        campaigns = self.server.campaigns
        try:
            folder = campaigns.page(name)
        except (GridproofError, OSError) as error:
            text = f'<p><a href="/">all campaigns</a></p><p>{html.escape(shown(str(error)))}</p>'
            self._page(name, text, again=True, status=HTTPStatus.SERVICE_UNAVAILABLE)
            return
        found = _beneath(folder, [*parts[:-1], parts[-1] or PAGE])
        if found is None:
            self._say(HTTPStatus.NOT_FOUND, "there is no such file here")
            return
        body, more = found.read_bytes(), {}
        if found.name == PAGE:
            seen = campaigns.seen(name)
            body = body.replace(b"<body>\n", b"<body>\n" + _bar(seen).encode(), 1)
            more = self._again() if seen.running else {}
        self._send(HTTPStatus.OK, body, found.suffix, more)

    def _again(self) -> dict[str, str]:
        return {"Refresh": f"{self.server.campaigns.every_s:g}"}

    def _page(
        self, title: str, text: str, *, again: bool, status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        whole_text = (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            f'content="width=device-width"><title>{html.escape(shown(title))}</title>'
            f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head>'
            f"<body><main>{text}</main></body></html>"
        )
        self._send(status, whole_text.encode(), ".html", self._again() if again else {})

    def _say(self, status: HTTPStatus, text: str, more: dict[str, str] | None = None) -> None:
        self.close_connection = True  # what else came with it is not read
        self._send(status, f"{text}\n".encode(), ".csv", more or {})

    def _send(self, status: HTTPStatus, body: bytes, kind: str, more: dict[str, str]) -> None:
        self.send_response(status)
        for header, value in (_HEADERS | more).items():
            self.send_header(header, value)
        self.send_header("Content-Type", _KINDS[kind])
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        """Name the program, not what it runs on."""
        return "gridproof"

    def log_message(self, *_: Any) -> None:
        """Print nothing: requests are nobody's news."""


def _beneath(folder: Path, parts: list[str]) -> Path | None:
    """Return a file that was drawn, by names alone, none of which leads elsewhere."""
    if any(part in {"", ".", ".."} or set(part) & set("/\\\0:") for part in parts):
        return None
    found = folder.joinpath(*parts)
    inside = found.is_file() and found.resolve().is_relative_to(folder.resolve())
    return found if inside and found.suffix in _KINDS else None


def _row(seen: Seen) -> str:
    link = f'<a href="/{html.escape(quote(seen.name))}/">{html.escape(shown(seen.name))}</a>'
    return f'<tr><th scope="row">{link}</th><td>{_state(seen)}</td><td>{_count(seen)}</td></tr>'


def _state(seen: Seen) -> str:
    return html.escape(shown(seen.state))


def _count(seen: Seen) -> str:
    if not seen.total:
        return ""
    return f"{whole(seen.done)} of {whole(seen.total)}, {whole(seen.feasible)} feasible"


def _bar(seen: Seen) -> str:
    """Say above a page where the campaign stands."""
    told = f"{_state(seen)}, {_count(seen)}" if seen.total else _state(seen)
    return f'<p class="served"><a href="/">all campaigns</a> · {told}</p>\n'
