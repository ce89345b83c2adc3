"""
A server on loopback that takes whatever it is sent, keeps it, and says that all is well.

    with Capture() as server:
        ...  # a library sends to server.url
    server.requests
"""

import gzip
import threading
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from urllib.parse import SplitResult, urlsplit

import msgspec

from tests.services.process import HOST

ANSWER: Final = b'{"success":true}'


class Sent(NamedTuple):
    """One request: `body` is what it was before it was compressed. Header names are in any case."""

    method: str
    url: SplitResult
    headers: Message
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 -- JSON of any kind
        """Return the body as a JSON value."""
        return msgspec.json.decode(self.body)


class Capture:
    """The server. `requests` has what came, in the order in which it was answered."""

    def __init__(self) -> None:
        self.requests: list[Sent] = []
        self._server = ThreadingHTTPServer((HOST, 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.port: int = self._server.server_address[1]
        self.url = f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening; whoever is still being answered is answered."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            def _take(self) -> None:
                body = self._body()
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                requests.append(Sent(self.command, urlsplit(self.path), self.headers, body))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(ANSWER)))
                self.end_headers()
                self.wfile.write(ANSWER)

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") == "chunked":
                    chunks = []
                    while size := int(self.rfile.readline().strip(), 16):
                        chunks.append(self.rfile.read(size))
                        self.rfile.readline()
                    self.rfile.readline()
                    return b"".join(chunks)
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

            do_GET = do_POST = _take  # noqa: N815 -- the names that the base class calls

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
                """Say nothing: what came is in `requests`."""

        return Handler
