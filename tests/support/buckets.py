"""A bucket service on this machine that can be stopped and started again with what it holds."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "the-secret-key-of-the-tests",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
}


class Service:
    """A service on one port of the loopback. Its buckets are in this process: they outlive a stop."""

    def __init__(self, port: int) -> None:
        self.port, self._server = port, None
        self.url = f"http://127.0.0.1:{port}"

    def start(self) -> None:
        """Answer requests."""
        self._server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        """Answer none."""
        if self._server is not None:
            self._server.stop()
            self._server._server.server_close()
            self._server = None

    def client(self) -> Any:
        """A client that shares nothing with the program."""
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.url, aws_access_key_id="testing", aws_secret_access_key="t", region_name="us-east-1"
        )

    def fill(self, bucket: str, folder: Path, prefix: str) -> None:
        """Put a folder of this machine into a bucket."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = f"{prefix}/{path.relative_to(folder).as_posix()}"
                self.client().put_object(Bucket=bucket, Key=name, Body=path.read_bytes())

    def holds(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """Everything below a prefix, by the names below it."""
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        names = [row["Key"] for page in pages for row in page.get("Contents", [])]
        return {n[len(prefix) :].lstrip("/"): client.get_object(Bucket=bucket, Key=n)["Body"].read() for n in names}


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def service(monkeypatch: pytest.MonkeyPatch, bucket: str = "marked") -> Iterator[Service]:
    """A service with an empty bucket, which this process and those it starts will use."""
    made = Service(free_port())
    for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL": made.url}).items():
        monkeypatch.setenv(name, value)
    forget_connections()
    made.start()
    try:
        client = made.client()
        client.create_bucket(Bucket=bucket)
        yield made
    finally:
        if made._server is None:
            made.start()
        import moto.backends

        moto.backends.get_backend("s3").reset()
        made.stop()
        forget_connections()


def forget_connections() -> None:
    """The program makes new connections, by what the environment says now."""
    import fsspec

    from protect.buckets.service import told

    told.clear()
    for kind in {"s3"}:
        fsspec.get_filesystem_class(kind).clear_instance_cache()
    assert "AWS_PROFILE" not in os.environ
