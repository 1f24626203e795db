"""A local web server that can fail in the ways of real servers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Behaviour:
    """The behaviour of the server. content: by path. cut_after: each entry ends one answer after so many bytes."""

    def __init__(self, content: dict[str, bytes]) -> None:
        self.content = content
        self.cut_after: list[int] = []
        self.ranges = True
        self.content_type = "application/octet-stream"
        self.status: int | None = None
        self.asked: list[tuple[str, str | None]] = []


@contextmanager
def serving(content: dict[str, bytes]) -> Iterator[tuple[str, Behaviour]]:
    """The address of a running server, without a last slash, and its behaviour, which a test may change."""
    behaviour = Behaviour(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            behaviour.asked.append((self.path, wanted))
            whole = behaviour.content.get(self.path)
            if whole is None or behaviour.status:
                self.send_error(behaviour.status or 404)
                return
            first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and behaviour.ranges else 0
            if first and first >= len(whole):
                self.send_error(416)
                return
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(whole) - 1}/{len(whole)}")
            self.send_header("Content-Type", behaviour.content_type)
            self.send_header("Content-Length", str(len(whole) - first))
            self.end_headers()
            sent = behaviour.cut_after.pop(0) if behaviour.cut_after else len(whole)
            self.wfile.write(whole[first : first + sent])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", behaviour
    finally:
        server.shutdown()
        server.server_close()
