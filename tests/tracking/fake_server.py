"""As much of a W&B server as a run needs, on this machine."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeServer:
    """Says yes to every run; keeps what it was told. `answering` off: takes requests and never answers."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self.streamed: list[str] = []
        self.bodies: list[bytes] = []
        self.refused: list[str] = []
        self.answering = threading.Event()
        self.answering.set()
        self.closing = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path: str, body: bytes) -> dict[str, Any]:
        self.bodies.append(body)
        if path != "/graphql":
            self.streamed.append(body.decode(errors="replace"))
            return {}
        query = json.loads(body)
        if "UpsertBucket" in query["query"]:
            given = query["variables"]
            self.runs.append(given)
            project = {"id": "cHJv", "name": given["project"], "entity": {"id": "ZW50", "name": "someone"}}
            bucket = {"id": "aWQ=", "name": given["name"], "displayName": given.get("displayName"), "config": "{}",
                      "sweepName": None, "historyLineCount": 0, "project": project}  # fmt: skip
            return {"data": {"upsertBucket": {"bucket": bucket, "inserted": True}}}
        if "RunResumeStatus" in query["query"]:
            return {"data": {"model": None}}
        if "CreateRunFiles" in query["query"]:
            files = [{"name": name, "uploadUrl": f"{self.url}/files"} for name in query["variables"]["files"]]
            return {"data": {"createRunFiles": {"runID": "aWQ=", "uploadHeaders": [], "files": files}}}
        self.refused.append(query["query"].split("(")[0].strip())
        return {"data": None, "errors": [{"message": "not here"}]}

    def _handler(fake) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                while not fake.answering.wait(0.05):
                    if fake.closing.is_set():
                        return
                content = json.dumps(fake.answer(self.path, body)).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST

            def log_message(self, *args: object) -> None:
                pass

        return Handler
