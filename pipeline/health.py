"""What is answered over HTTP: `/metrics`, `/healthz` (is it alive) and `/readyz` (can it work), on one port.

A process that is not alive is to be restarted; one that is not ready is to be waited for. A broker or a store that is
away is not cured by a restart, so it makes the process unready and never dead.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from pipeline.telemetry import Telemetry

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

# A source polls many times a second, and a batch takes far less than a second.
STUCK_S: Final = 60.0
# A watermark moves with nearly every batch; what holds it for longer than this holds it for good.
STALLED_S: Final = 300.0
# Who has asked for nothing by then is not going to.
REQUEST_S: Final = 10.0
# How soon the server notices that it is to end: a run's own end should not be held up.
POLL_S: Final = 0.1

TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")


class ServeError(Exception):
    """A port that cannot be listened on: one line with cause and cure."""


def ailment(telemetry: Telemetry) -> str:
    """Say why the process should be restarted, "" if it is alive."""
    now, tally = telemetry.clock(), telemetry.tally
    is_waiting = any(one.is_away for one in telemetry.dependencies().values())
    if telemetry.beat_at is not None and now - telemetry.beat_at > STUCK_S and not is_waiting:
        return f"stuck: the flow has not moved for {now - telemetry.beat_at:.0f} s"
    if (
        tally.heard_at is not None
        and tally.still_since is not None
        and now - tally.heard_at <= STALLED_S < now - tally.still_since
    ):
        return f"watermark stalled: records were read for {now - tally.still_since:.0f} s and event time did not move"
    return ""


def hindrance(telemetry: Telemetry) -> str:
    """Say why the process cannot work now, "" if it is ready."""
    if not telemetry.is_ready:
        return "starting: the state is not loaded yet"
    away = [name for name, one in telemetry.dependencies().items() if one.is_away]
    return f"waiting for the {' and the '.join(away)}" if away else ""


@contextmanager
def serve(telemetry: Telemetry, host: str, port: int) -> Iterator[int]:
    """Answer requests while the block runs; gives the port, which with `port` 0 is any that is free.

    Raises:
        ServeError: the address cannot be listened on.
    """
    try:
        server = make_server(host, port, _app(telemetry), _server_for(host), handler_class=_QuietHandler)
    except (OSError, OverflowError) as error:
        raise ServeError(
            f"{host}:{port}: {getattr(error, 'strerror', None) or error}; name another address for the metrics"
        ) from None
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), name="metrics", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _app(telemetry: Telemetry) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    metrics: Any = make_wsgi_app(telemetry.registry)
    checks = {"/healthz": ailment, "/readyz": hindrance}

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if method == "GET" and path == "/metrics":
            answer: Iterable[bytes] = metrics(environ, start_response)
            return answer
        check = checks.get(path) if method == "GET" else None
        headers = [TEXT]  # a list of its own: the server adds to it
        if check is None:
            start_response("404 Not Found", headers)
            return [] if method == "HEAD" else [b"GET /metrics, /healthz or /readyz\n"]
        reason = check(telemetry)
        start_response("503 Service Unavailable" if reason else "200 OK", headers)
        return [f"{reason or 'ok'}\n".encode()]

    return app


def _server_for(host: str) -> type[ThreadingWSGIServer]:
    class Server(ThreadingWSGIServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 -- as in the base class
            """Say nothing of who hung up or never asked."""
            if not isinstance(sys.exception(), OSError):
                super().handle_error(request, client_address)

    return Server


class _QuietHandler(WSGIRequestHandler):
    """Keeps no log of requests, and does not wait for them for ever."""

    timeout = REQUEST_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- as in the base class
        """Write nothing."""
