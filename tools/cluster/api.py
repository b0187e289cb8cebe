"""A small client of the cluster's API server: reads and watches, with a component's certificate.

Standard library only: the front door's watcher is this for as long as the cluster runs.
"""

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

# The server ends a watch after this long; the socket's own limit only catches a dead connection.
_WATCH_SECONDS = 240


class Api:
    """A client of the API server, by the files a kubeconfig names."""

    def __init__(self, kubeconfig: Path) -> None:
        data = json.loads(kubeconfig.read_text(encoding="utf-8"))
        cluster, user = data["clusters"][0]["cluster"], data["users"][0]["user"]
        self._address: SplitResult = urlsplit(str(cluster["server"]))
        self._tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self._tls.load_cert_chain(user["client-certificate"], user["client-key"])

    def _open(self, path: str, timeout: float = 10) -> http.client.HTTPResponse:
        host = str(self._address.hostname)
        connection = http.client.HTTPSConnection(
            host, self._address.port, context=self._tls, timeout=timeout
        )
        connection.request("GET", path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        if response.status != http.client.OK:
            message = f"{path}: {response.status} {response.read(300)!r}"
            raise OSError(message)
        return response

    def healthy(self) -> bool:
        """Whether the server says that it is ready for work."""
        try:
            with self._open("/readyz", timeout=3) as response:
                return response.status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def objects(self, path: str) -> dict[str, Any]:
        """The list or object under `path`; raises OSError when it cannot be had."""
        with self._open(path) as response:
            return json.loads(response.read())

    def changes(self, path: str, version: str) -> Iterator[bytes]:
        """One item a change under `path` after resource version `version`; ends now and then."""
        query = f"?watch=1&resourceVersion={version}&timeoutSeconds={_WATCH_SECONDS}"
        with self._open(path + query, timeout=_WATCH_SECONDS + 30) as response:
            yield from response
