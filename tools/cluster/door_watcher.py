"""The process that follows the cluster's Ingress and Service objects and tells the front door.

Started by components.py as a program of its own; standard library only, so that it stays small.
"""

import http.client
import sys
import threading
import time
from pathlib import Path

from tools.cluster import front_door
from tools.cluster.api import Api

_INGRESSES = "/apis/networking.k8s.io/v1/ingresses"
_SERVICES = "/api/v1/services"
# A deployment makes many objects at once: one replacement of the map serves them all.
_SETTLE_SECONDS = 0.2
_RETRY_SECONDS = 1.0


class Watcher:
    """Two watches that wake one writer."""

    def __init__(self, api: Api, admin: Path, map_file: Path) -> None:
        self._api = api
        self._admin = admin
        self._map_file = map_file
        self._changed = threading.Event()
        self._told: dict[str, str] | None = None

    def _follow(self, path: str) -> None:
        while True:
            try:
                version = self._api.objects(f"{path}?limit=1")["metadata"]["resourceVersion"]
                # What changed before this watch began is found by the writer's own listing.
                self._changed.set()
                for _ in self._api.changes(path, version):
                    self._changed.set()
            except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
                _say(f"watch {path}: {error}")
                time.sleep(_RETRY_SECONDS)

    def _tell(self) -> None:
        ingresses = self._api.objects(_INGRESSES)["items"]
        services = self._api.objects(_SERVICES)["items"]
        targets = front_door.hosts(ingresses, services)
        if targets == self._told:
            return
        part = self._map_file.with_suffix(".part")
        part.write_text(front_door.map_text(targets), encoding="ascii")
        part.replace(self._map_file)
        front_door.replace_map(self._admin, self._map_file, targets)
        self._told = targets
        _say(f"{len(targets)} hosts")

    def run(self) -> None:
        """Follow for ever."""
        for path in (_INGRESSES, _SERVICES):
            threading.Thread(target=self._follow, args=(path,), daemon=True).start()
        while True:
            self._changed.wait()
            time.sleep(_SETTLE_SECONDS)
            self._changed.clear()
            try:
                self._tell()
            except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
                _say(f"hosts: {error}")
                time.sleep(_RETRY_SECONDS)
                self._changed.set()


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    kubeconfig, admin, map_file = map(Path, sys.argv[1:4])
    Watcher(Api(kubeconfig), admin, map_file).run()
