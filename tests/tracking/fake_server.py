"""A local W&B server with only the requests that a run and its artifact need."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENTITY = {"id": "ZW50", "name": "someone"}
VIEWER = {"id": "dXNlcg==", "entity": "someone", "username": "someone", "flags": "{}", "teams": {"edges": []}}


class FakeServer:
    """Accepts every run and records all requests. answering: if it is cleared, requests are not answered.

    runs: variables of the requests that create or change a run. streamed: requests with history and state of a run.
    files: name -> content of the files of an artifact. committed: number of complete artifacts. bodies: of all requests.
    """

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self.artifacts: list[dict[str, Any]] = []
        self.streamed: list[str] = []
        self.files: dict[str, bytes] = {}
        self.committed = 0
        self.bodies: list[bytes] = []
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
        if path == "/graphql":
            query = json.loads(body)
            name = re.search(r"(?:query|mutation)\s+(\w+)", query["query"])
            given = query.get("variables") or {}
            data = getattr(self, f"_{name[1] if name else ''}", lambda _: None)(given.get("input", given))
            return {"data": data} if data else {"data": None, "errors": [{"message": "not here"}]}
        if path.startswith("/artifact/"):
            self.files[path.removeprefix("/artifact/")] = body
        else:
            self.streamed.append(body.decode(errors="replace"))
        return {}

    # The methods below have the names of the GraphQL queries of wandb 0.31.

    def _Viewer(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": VIEWER}

    def _RunResumeStatus(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"model": None}

    def _UpsertBucket(self, given: dict[str, Any]) -> dict[str, Any]:
        self.runs.append(given)
        project = {"id": "cHJv", "name": given["project"], "entity": ENTITY}
        bucket = {
            "id": "aWQ=",
            "name": given["name"],
            "displayName": given.get("displayName"),
            "config": "{}",
            "sweepName": None,
            "historyLineCount": 0,
            "project": project,
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": True}}

    def _CreateRunFiles(self, given: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": name, "uploadUrl": f"{self.url}/files"} for name in given["files"]]
        return {"createRunFiles": {"runID": "aWQ=", "uploadHeaders": [], "files": files}}

    def _CreateArtifact(self, given: dict[str, Any]) -> dict[str, Any]:
        self.artifacts.append(given)
        sequence = {"id": "c2Vx", "latestArtifact": None}
        return {"createArtifact": {"artifact": {"id": "YXJ0", "state": "PENDING", "artifactSequence": sequence}}}

    def _CreateArtifactManifest(self, given: dict[str, Any]) -> dict[str, Any]:
        file = {"id": "ZmlsZQ==", "uploadUrl": f"{self.url}/artifact/manifest", "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": "bWFu", "file": file}}}

    def _CreateArtifactFiles(self, given: dict[str, Any]) -> dict[str, Any]:
        nodes = [
            {
                "id": "ZjE=",
                "name": name,
                "displayName": name,
                "uploadUrl": f"{self.url}/artifact/{name}",
                "uploadHeaders": [],
                "storagePath": "x",
                "uploadMultipartUrls": None,
                "artifact": {"id": "YXJ0"},
            }
            for name in (file["name"] for file in given["artifactFiles"])
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def _CommitArtifact(self, given: dict[str, Any]) -> dict[str, Any]:
        self.committed += 1
        return {"commitArtifact": {"artifact": {"id": "YXJ0", "digest": "d"}}}

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
