"""A small S3-compatible store that keeps objects in memory: enough for restic.

Owns: objects of one bucket by path-style addresses, listings with prefix and delimiter,
ranges, deletes, bodies in signed chunks, and that every request is signed with the right key
(AWS Signature Version 4). Leaves out: everything else of S3. Standard library only, so that the
runtime image can run it: `python3 s3_server.py --port 9000 [--host 0.0.0.0]`, the credentials in
S3_ACCESS_KEY and S3_SECRET_KEY.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>[^,]+),\s*"
    r"SignedHeaders=(?P<signed>[^,]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
OBJECTS: dict[str, bytes] = {}
"""By bucket and key, as the address has them."""
_LOCK = threading.Lock()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Store(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Say nothing."""

    def do_HEAD(self) -> None:
        """Answer whether an object, or the bucket, is there."""
        self._get(body=False)

    def do_GET(self) -> None:
        """Answer with an object or a listing."""
        self._get(body=True)

    def do_PUT(self) -> None:
        """Take an object."""
        data = self._body()
        if not self._known():
            return
        with _LOCK:
            OBJECTS[self._key()] = data
        self._answer(
            200, headers={"ETag": f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'}
        )

    def do_POST(self) -> None:
        """Delete the objects that are named."""
        data = self._body()
        if not self._known():
            return
        bucket = self._key().rstrip("/")
        keys = [unquote(key) for key in re.findall(r"<Key>([^<]*)</Key>", data.decode())]
        with _LOCK:
            for key in keys:
                OBJECTS.pop(f"{bucket}/{key}", None)
        self._answer(200, b"<DeleteResult></DeleteResult>")

    def do_DELETE(self) -> None:
        """Delete an object."""
        if not self._known():
            return
        with _LOCK:
            OBJECTS.pop(self._key(), None)
        self._answer(204)

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).lstrip("/")

    def _query(self) -> dict[str, str]:
        found = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        return {key: values[0] for key, values in found.items()}

    def _get(self, *, body: bool) -> None:
        if self._key() == "health":
            self._answer(200)
            return
        if not self._known():
            return
        key, query = self._key(), self._query()
        if "location" in query:
            self._answer(200, b"<LocationConstraint></LocationConstraint>")
        elif "/" not in key.rstrip("/"):
            self._answer(200, self._listing(key.rstrip("/"), query) if body else b"")
        else:
            self._object(key, body=body)

    def _object(self, key: str, *, body: bool) -> None:
        with _LOCK:
            data = OBJECTS.get(key)
        if data is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>" if body else b"")
            return
        headers = {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "ETag": '"x"'}
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if found is None:
            self._answer(200, data, headers=headers, body=body)
            return
        first, last = int(found[1]), int(found[2] or len(data) - 1)
        part = data[first : last + 1]
        headers["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
        self._answer(206, part, headers=headers, body=body)

    def _listing(self, bucket: str, query: dict[str, str]) -> bytes:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        with _LOCK:
            sizes = {key: len(data) for key, data in OBJECTS.items()}
        names = sorted(
            key.removeprefix(f"{bucket}/") for key in sizes if key.startswith(f"{bucket}/")
        )
        folders: set[str] = set()
        items: list[str] = []
        for name in names:
            rest = name[len(prefix) :]
            if not name.startswith(prefix):
                continue
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.split(delimiter, 1)[0] + delimiter)
            else:
                items.append(name)
        contents = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{sizes[f'{bucket}/{name}']}</Size>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>x</ETag></Contents>"
            for name in items
        )
        common = "".join(
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
            for name in sorted(folders)
        )
        return (
            "<ListBucketResult><IsTruncated>false</IsTruncated>"
            f"{contents}{common}</ListBucketResult>"
        ).encode()

    def _body(self) -> bytes:
        data = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if not self.headers.get("X-Amz-Content-Sha256", "").startswith("STREAMING-"):
            return data
        plain, at = bytearray(), 0
        while at < len(data):
            end = data.index(b"\r\n", at)
            size = int(data[at:end].split(b";")[0], 16)
            plain += data[end + 2 : end + 2 + size]
            at = end + 4 + size
        return bytes(plain)

    def _known(self) -> bool:
        """Return whether the request is signed with the key; answer it when it is not."""
        found = _AUTHORIZATION.fullmatch(self.headers.get("Authorization", ""))
        right = found is not None and found["key"] == os.environ["S3_ACCESS_KEY"]
        if found is not None and right:
            right = hmac.compare_digest(found["signature"], self._signature(found))
        if not right:
            self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        return right

    def _signature(self, found: re.Match[str]) -> str:
        address = urlsplit(self.path)
        asked = parse_qs(address.query, keep_blank_values=True)
        query = "&".join(
            f"{quote(key, safe='-_.~')}={quote(value, safe='-_.~')}"
            for key in sorted(asked)
            for value in asked[key]
        )
        signed = found["signed"].split(";")
        headers = "".join(
            f"{name}:{' '.join(self.headers.get(name, '').split())}\n" for name in signed
        )
        path = quote(unquote(address.path), safe="/-_.~")
        digest = self.headers.get("X-Amz-Content-Sha256", "")
        canonical = "\n".join([self.command, path, query, headers, found["signed"], digest])
        moment = self.headers.get("X-Amz-Date", "")
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        text = "\n".join(["AWS4-HMAC-SHA256", moment, found["scope"], hashed])
        key = f"AWS4{os.environ['S3_SECRET_KEY']}".encode()
        for word in found["scope"].split("/"):
            key = _hmac(key, word)
        return _hmac(key, text).hex()

    def _answer(
        self,
        status: int,
        data: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        body: bool = True,
    ) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)


def main() -> int:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    given = parser.parse_args()
    ThreadingHTTPServer((given.host, given.port), Store).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
