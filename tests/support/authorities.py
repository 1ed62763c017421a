"""A timestamp authority on loopback, run by `openssl ts`; bounded in time and count, and stopped by its own handle."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

NO_OPENSSL = "openssl is not installed: it runs the timestamp authority of these tests"
_MOST_REQUESTS = 50
_CONFIG = """
[req]
distinguished_name = dn
prompt = no
[dn]
CN = {name} root
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[authority]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = here
[here]
serial = serial
crypto_device = builtin
signer_cert = authority.pem
{certs}
signer_key = authority.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True)
class Authority:
    """Keys and certificates of one authority."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"

    def reply(self, request: bytes) -> bytes:
        query, answer = self.folder / "request.tsq", self.folder / "reply.tsr"
        query.write_bytes(request)
        _openssl(self.folder, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", query.name, "-out", answer.name)
        return answer.read_bytes()


def make_authority(folder: Path, name: str = "Test", key: str = "ec", *, certificates: int = 1) -> Authority:
    """An authority of its own root.

    Args:
        folder: does not exist yet.
        name: in the certificates.
        key: of the authority; "ec", "rsa" or "ed25519".
        certificates: in its replies; two are put in an order that DER does not allow, as some authorities do.
    """
    if shutil.which("openssl") is None:
        pytest.skip(NO_OPENSSL)
    folder.mkdir(parents=True)
    (folder / "serial").write_text("01\n")
    kinds = {"ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["-algorithm", "RSA"]}
    for file, kind in (("root.key", "ec"), ("authority.key", key)):
        _openssl(folder, "genpkey", *kinds.get(kind, ["-algorithm", kind]), "-out", file)
    (folder / "tsa.cnf").write_text(_CONFIG.format(name=name, certs=""))
    config = ("-config", "tsa.cnf")
    _openssl(
        folder,
        "req",
        "-x509",
        "-new",
        "-key",
        "root.key",
        "-days",
        "9",
        *config,
        "-extensions",
        "root",
        "-out",
        "root.pem",
    )
    _openssl(folder, "req", "-new", "-key", "authority.key", *config, "-subj", f"/CN={name} authority", "-out", "a.csr")
    issued = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "9")
    extended = ("-extfile", "tsa.cnf", "-extensions", "authority")
    _openssl(folder, "x509", "-req", "-in", "a.csr", *issued, *extended, "-out", "authority.pem")
    if certificates == 2:
        (folder / "tsa.cnf").write_text(_CONFIG.format(name=name, certs="certs = root.pem"))
    return Authority(folder)


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()


@dataclass
class Served:
    """An authority that is being served."""

    address: str
    asked: list[bytes] = field(default_factory=list)


@contextmanager
def serve(
    authority: Authority | None,
    *,
    body: bytes | None = None,
    status: int = 200,
    kind: str = "application/timestamp-reply",
    headers: dict[str, str] | None = None,
    hang: float = 0.0,
) -> Iterator[Served]:
    """Serve an authority on loopback while the block runs.

    Args:
        authority: answers requests; not needed with `body`.
        body: what is answered instead.
        status: of the answer.
        kind: content type.
        headers: further ones.
        hang: seconds between the bytes of the answer.
    """
    served, stop = Served(""), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers["Content-Length"]))
            served.asked.append(request)
            assert len(served.asked) <= _MOST_REQUESTS
            answer = body if body is not None else authority.reply(request) if authority else b""
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            if not hang:
                self.wfile.write(answer)
                return
            for byte in answer:
                if stop.wait(hang):
                    return
                self.wfile.write(bytes([byte]))

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    worker = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    worker.start()
    served.address = f"http://127.0.0.1:{server.server_address[1]}/tsa"
    try:
        yield served
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
        worker.join(5)
