"""Loopback servers that speak as image services do, with a drawing function behind them, and that misbehave on demand.

Bounded in time and number: each lives as long as one `with` block and takes its port from the system.
"""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from detect.suspects.images.services import Limits, ServiceSuspect, Settings, load_service
from detect.suspects.images.suspect import Query, Sampler, Suspect

Pixels = NDArray[np.uint8]
Draw = Callable[[Query, Sampler], Pixels]
Trick = Callable[["Handler"], bool]
"""Answers a request in a way of its own; says whether it did."""

WORKFLOW = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "suspect.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "{prompt}", "clip": ["1", 1]}},
    "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "{negative}", "clip": ["1", 1]}},
    "4": {
        "class_type": "KSampler",
        "inputs": {"seed": "{seed}", "steps": "{steps}", "cfg": "{guidance}", "positive": ["2", 0]},
    },
    "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0]}},
}


def noise(query: Query, sampler: Sampler) -> Pixels:
    """What an innocent draws: it depends on prompt and seed."""
    words = sum(query.prompt.encode()) % 1009
    return np.random.default_rng([query.seed % 2**32, words]).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def drawn_by(model: Suspect, steps: int) -> Draw:
    """What a service draws that runs this model, one picture at a time, in steps of its own."""
    lock = threading.Lock()

    def draw(query: Query, sampler: Sampler) -> Pixels:
        with lock:
            picture = model.answer([query], Sampler(steps, sampler.guidance))[0].picture
        assert picture is not None
        return picture

    return draw


def encoded(picture: Pixels, form: str = "PNG", **options: Any) -> bytes:
    """A picture as a file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format=form, **options)
    return buffer.getvalue()


def bomb(side: int) -> bytes:
    """A small file of many pixels."""
    buffer = io.BytesIO()
    Image.new("1", (side, side)).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


@dataclass
class Loopback:
    """A service of this machine."""

    draw: Draw = noise
    form: str = "PNG"
    form_options: dict[str, Any] = field(default_factory=dict)
    tricks: deque[Trick] = field(default_factory=deque)
    """Tried on one request each, in order; requests beyond them are answered as they should be."""
    always: Trick | None = None
    """Tried on every request."""
    requests: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    """Method, path, headers and JSON body of each."""
    seeds_taken: int = 0
    """Where the service draws its own seeds: how many it drew."""
    by_url: bool = False
    """Whether an OpenAI-style service gives addresses instead of pictures."""
    slow: int = 0
    """How often a ComfyUI history is empty before the work is done."""
    files: dict[str, bytes] = field(default_factory=dict)
    fixed: bytes = b""
    """A file that is given instead of every picture."""
    url: str = ""
    stopping: threading.Event = field(default_factory=threading.Event)

    def paths(self) -> list[str]:
        """Paths of all requests, without parameters."""
        return [urlsplit(path).path for _, path, _, _ in self.requests]

    def bodies(self) -> list[dict[str, Any]]:
        """JSON bodies of all POST requests."""
        return [body for method, _, _, body in self.requests if method == "POST"]

    def file(self, query: Query, sampler: Sampler) -> bytes:
        """A drawn picture as a file."""
        return self.fixed or encoded(self.draw(query, sampler), self.form, **self.form_options)


@contextmanager
def serving(service: Loopback) -> Iterator[Loopback]:
    """The service at `service.url` while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"service": service}))
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.stopping.set()
        server.shutdown()
        thread.join(10)
        server.server_close()


def reach(service: Loopback, kind: str, attempts: int = 3, side: int = 32) -> ServiceSuspect:
    """The suspect behind a service."""
    workflow = json.dumps(WORKFLOW) if kind == "comfyui" else ""
    settings = Settings(workflow=workflow, size=(side, side) if kind != "comfyui" else None)
    return load_service(service.url, kind, settings, Limits(timeout=60, attempts=attempts), sleep=lambda pause: None)


class Handler(BaseHTTPRequestHandler):
    """One request to any of the three kinds of service."""

    service: Loopback
    protocol_version = "HTTP/1.1"
    body: Any = None

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        self.body = json.loads(sent) if sent.startswith(b"{") else sent
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        service = self.service
        service.requests.append((self.command, self.path, dict(self.headers), self.body))
        try:
            if service.always is not None and service.always(self):
                return
            if service.tricks and service.tricks.popleft()(self):
                return
            self._dispatch(urlsplit(self.path).path)
        except (BrokenPipeError, ConnectionResetError):  # the client has had enough
            self.close_connection = True

    def _dispatch(self, path: str) -> None:
        if path.endswith("/images/generations"):
            self.send_json({"created": 0, "data": [self._openai_row()]})
        elif path.endswith("/sdapi/v1/txt2img"):
            self.send_json(self._a1111())
        elif path.endswith("/prompt"):
            self.send_json(self._queue())
        elif "/history/" in path:
            self.send_json(self._history(path.rpartition("/")[2]))
        elif path.endswith("/view") or "/files/" in path:
            name = path.rpartition("/")[2] if "/files/" in path else parse_qs(urlsplit(self.path).query)["filename"][0]
            self.send_bytes(self.service.files[name], "image/png")
        else:
            self.send_json({"detail": "Not Found"}, 404)

    def _openai_row(self) -> dict[str, Any]:
        self.service.seeds_taken += 1
        data = self.service.file(Query(self.body["prompt"], 1_000_000 + self.service.seeds_taken), Sampler())
        if not self.service.by_url:
            return {"b64_json": base64.b64encode(data).decode(), "url": None, "revised_prompt": None}
        name = f"{len(self.service.files)}.png"
        self.service.files[name] = data
        return {"url": f"{self.service.url}/files/{name}"}

    def _a1111(self) -> dict[str, Any]:
        body = self.body
        plain = body["prompt"].replace("\\", "")
        data = self.service.file(Query(plain, body["seed"]), Sampler(body["steps"], body["cfg_scale"]))
        info = {"all_prompts": [body["prompt"]], "all_seeds": [body["seed"]]}
        return {"images": [base64.b64encode(data).decode()], "parameters": body, "info": json.dumps(info)}

    def _queue(self) -> dict[str, Any]:
        graph = self.body["prompt"]
        sampled = graph["4"]["inputs"]
        number = f"work-{self.service.paths().count('/prompt') - 1}"
        query = Query(graph["2"]["inputs"]["text"], sampled["seed"])
        self.service.files[number + ".png"] = self.service.file(query, Sampler(sampled["steps"], sampled["cfg"]))
        return {"prompt_id": number, "number": 1, "node_errors": {}}

    def _history(self, number: str) -> dict[str, Any]:
        if self.service.slow:
            self.service.slow -= 1
            return {}
        images = [{"filename": number + ".png", "subfolder": "", "type": "output"}]
        return {number: {"outputs": {"5": {"images": images}}, "status": {"status_str": "success"}}}

    def send_json(self, value: object, status: int = 200, **headers: str) -> None:
        """A whole answer."""
        self.send_bytes(json.dumps(value).encode(), "application/json", status, **headers)

    def send_bytes(self, data: bytes, kind: str, status: int = 200, **headers: str) -> None:
        """A whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Silence."""


def status(code: int, said: object = "", **headers: str) -> Trick:
    """An answer of a status."""

    def trick(handler: Handler) -> bool:
        handler.send_json(said, code, **headers)
        return True

    return trick


def says(value: object) -> Trick:
    """An answer of status 200 with other JSON."""
    return status(200, value)


def rubbish(handler: Handler) -> bool:
    """No JSON."""
    handler.send_bytes(bytes(range(256)) * 4, "application/json")
    return True


def half(handler: Handler) -> bool:
    """Less than the header promises."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"images": ["iVBOR')
    handler.close_connection = True
    return True


def hang_up(handler: Handler) -> bool:
    """Nothing, and the line is cut."""
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True
    return True


def hang(handler: Handler) -> bool:
    """Nothing, for a long time."""
    handler.service.stopping.wait(20)
    handler.close_connection = True
    return True


def drip(handler: Handler) -> bool:
    """A byte now and then, without end."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    until = time.monotonic() + 20
    while not handler.service.stopping.wait(0.05) and time.monotonic() < until:
        handler.wfile.write(b" ")
        handler.wfile.flush()
    handler.close_connection = True
    return True


def huge(handler: Handler) -> bool:
    """A gigabyte, its length told to nobody."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    piece = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    for _ in range(1024):
        handler.wfile.write(piece)
    handler.wfile.write(b"0\r\n\r\n")
    return True


def redirect(target: str, code: int = 307) -> Trick:
    """Somewhere else."""
    return status(code, "", Location=target)
