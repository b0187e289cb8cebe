"""The one way to what runs now: a cluster's API, asked in plain JSON.

Owns: what can be asked and done (`Cluster`), and that every failure is one line. Leaves out: which
cluster (`contexts`), how it is reached (`connection`, imported only when one is opened), and what
the answers mean.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from fleet.cluster.contexts import choose
from fleet.cluster.kinds import KINDS, Kind, kind_of
from fleet.errors import ClusterError, RefusedError

if TYPE_CHECKING:
    from fleet.cluster.connection import Answer, Connection
    from fleet.cluster.execution import Execution

# An object as the API returns it; its shape is the API's, not ours.
Live: TypeAlias = dict[str, Any]

FIELD_MANAGER = "opencode-fleet"
_PARALLEL = 4
_NOT_FOUND = 404
_PIECE = 64 * 1024
_PATCHES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}


class Cluster:
    """A cluster's API as one user of it; safe to share between threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    def open(
        cls, context: str | None = None, *, kubeconfig: str | None = None, patience: float = 5.0
    ) -> Cluster:
        """Return the cluster of a context of the operator's kubeconfig, by default the current.

        `kubeconfig` is the content of another one, for a cluster that the stack made. Nothing is
        asked yet (`ready` does), but an exec plugin runs. A context that is not there is an
        InputError. `patience`: seconds to wait for a connection.
        """
        from fleet.cluster.connection import Connection  # noqa: PLC0415

        return cls(Connection(choose(context, kubeconfig), patience))

    @property
    def context(self) -> str:
        """The context's name."""
        return self._connection.context.name

    def client_certificate(self) -> str | None:
        """Return the certificate that the context identifies itself with, PEM in base64."""
        return self._connection.context.client_certificate()

    def ready(self) -> None:
        """Raise ClusterError, with the reason, unless the cluster answers within the patience."""
        self._connection.probe()

    def list(
        self,
        kind: str,
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | str | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> list[Live]:
        """Return the objects of a kind (`deployments`), of a namespace or of all.

        `labels` are values by key, an empty one for any value, or a selector as it is written. A
        kind that the cluster does not serve has no objects.
        """
        asked = KINDS[kind]
        query = _selectors(labels, fields)
        try:
            answer = self._connection.ask("GET", asked.path(namespace), query=query)
        except RefusedError as refusal:
            if refusal.status == _NOT_FOUND:
                return []
            raise
        # Items of a list name neither kind nor version: the list does.
        named = {"apiVersion": asked.version, "kind": asked.name}
        return [{**named, **item} for item in answer["items"] or ()]

    def list_all(
        self,
        kinds: Sequence[str],
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | str | None = None,
    ) -> dict[str, list[Live]]:
        """Return the objects of several kinds by kind, asked for side by side."""
        ask = partial(self.list, namespace=namespace, labels=labels)
        with ThreadPoolExecutor(_PARALLEL) as pool:
            return dict(zip(kinds, pool.map(ask, kinds), strict=True))

    def get(self, kind: str, name: str, namespace: str | None = None) -> Live | None:
        """Return an object, or None when it is not there."""
        try:
            return cast("Live", self._connection.ask("GET", KINDS[kind].path(namespace, name)))
        except RefusedError as refusal:
            if refusal.status == _NOT_FOUND:
                return None
            raise

    def create(self, manifest: Mapping[str, Any]) -> Live:
        """Make an object; one that is there is a RefusedError of reason AlreadyExists."""
        kind, namespace, _ = _address(manifest)
        return cast("Live", self._connection.ask("POST", kind.path(namespace), body=manifest))

    def apply(
        self, manifest: Mapping[str, Any], *, force: bool = False, manager: str = FIELD_MANAGER
    ) -> Live:
        """Bring an object to what a manifest says, by server-side apply; return it as it is then.

        A field of another manager is a RefusedError of status 409, unless `force`.
        """
        kind, namespace, name = _address(manifest)
        query = [("fieldManager", manager), ("force", str(force).lower())]
        return cast(
            "Live",
            self._connection.ask(
                "PATCH",
                kind.path(namespace, name),
                query=query,
                body=manifest,
                content="application/apply-patch+yaml",
            ),
        )

    def patch(
        self,
        kind: str,
        name: str,
        change: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        namespace: str | None = None,
        *,
        how: str = "merge",
        manager: str = FIELD_MANAGER,
    ) -> Live:
        """Change an object and return it; `how`: merge, strategic or json (a list of steps)."""
        return cast(
            "Live",
            self._connection.ask(
                "PATCH",
                KINDS[kind].path(namespace, name),
                query=[("fieldManager", manager)],
                body=change,
                content=_PATCHES[how],
            ),
        )

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        wait: float | None = None,
        uid: str | None = None,
        owned_first: bool = False,
    ) -> bool:
        """Delete an object and what it owns; return whether it was there.

        `wait`: seconds until it must be gone, else ClusterError. `uid`: only that very object.
        `owned_first`: it goes when all that it owns is gone.
        """
        path = KINDS[kind].path(namespace, name)
        options: Live = {"propagationPolicy": "Foreground" if owned_first else "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            answer = self._connection.ask("DELETE", path, body=options)
        except RefusedError as refusal:
            if refusal.status == _NOT_FOUND:
                return False
            raise
        if wait is not None:
            # The API answers with the object while a finalizer holds it, else with a Status.
            metadata = cast("Live", answer.get("metadata") or {})
            gone = uid or str(metadata.get("uid", ""))
            self._wait_gone(kind, name, namespace, gone, wait)
        return True

    def _wait_gone(
        self, kind: str, name: str, namespace: str | None, uid: str, seconds: float
    ) -> None:
        deadline = time.monotonic() + seconds
        while True:
            live = self.get(kind, name, namespace)
            if live is None or (uid and live["metadata"]["uid"] != uid):
                return
            if time.monotonic() >= deadline:
                held = ", ".join(live["metadata"].get("finalizers") or ["nothing that is told"])
                place = f"{namespace}/" if namespace else ""
                raise ClusterError(
                    f"{KINDS[kind].name} {place}{name}: deleted, but still there after"
                    f" {seconds:g} s; held by: {held}"
                )
            time.sleep(0.25)

    def exec(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: str | bytes | None = None,
        timeout: float = 60.0,
        sink: Callable[[bytes], None] | None = None,
    ) -> Execution:
        """Run a command in a container: its exit code and what it printed, 8 MiB at most.

        A `sink` takes its standard output instead, of any length.

        What it printed is a user's data: `untrusted` makes it fit to show.
        """
        from fleet.cluster.execution import execute  # noqa: PLC0415

        given = stdin.encode() if isinstance(stdin, str) else stdin
        return execute(
            self._connection,
            namespace,
            pod,
            container,
            command,
            stdin=given,
            timeout=timeout,
            sink=sink,
        )

    def terminal(self, namespace: str, pod: str, container: str, command: Sequence[str]) -> int:
        """Run a command on the operator's terminal and return its exit code."""
        from fleet.cluster.terminal import attach  # noqa: PLC0415

        return attach(self._connection, namespace, pod, container, command)

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        follow: bool = False,
        previous: bool = False,
        tail: int | None = None,
        since: int | None = None,
    ) -> Iterator[str]:
        """Yield the lines a container printed, as they come with `follow`; `since` in seconds.

        They are a user's data: `untrusted` makes them fit to show. A container that has not
        started, or has no previous one, is a RefusedError of status 400.
        """
        query = [("container", container)]
        query += [(name, "true") for name, on in (("follow", follow), ("previous", previous)) if on]
        query += [("tailLines", str(tail))] if tail is not None else []
        query += [("sinceSeconds", str(since))] if since is not None else []
        path = KINDS["pods"].path(namespace, pod) + "/log"
        yield from self._lines("GET", path, query, endless=follow)

    def raw(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Return the JSON at a path of the API, such as a node's own figures."""
        return self._connection.ask("GET", path, query=list((query or {}).items()))

    def watch(
        self,
        kind: str,
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | str | None = None,
        fields: Mapping[str, str] | None = None,
        version: str | None = None,
        seconds: float | None = None,
    ) -> Iterator[tuple[str, Live]]:
        """Yield what happens to objects of a kind: ADDED, MODIFIED or DELETED, and the object.

        Without `version` everything there is comes first, as ADDED. It ends when the server ends
        it, after `seconds` at most; a version that is too old is a RefusedError of status 410.
        """
        query = [*_selectors(labels, fields), ("watch", "true")]
        query += [("resourceVersion", version)] if version is not None else []
        query += [("timeoutSeconds", str(int(seconds)))] if seconds is not None else []
        for line in self._lines(
            "GET", KINDS[kind].path(namespace), query, endless=True, whole=True
        ):
            event = cast("Live", json.loads(line))
            if event["type"] == "ERROR":
                status = event["object"]
                raise self._connection.refused(status.get("code", 0), json.dumps(status).encode())
            yield event["type"], event["object"]

    def _lines(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        *,
        endless: bool,
        whole: bool = False,
    ) -> Iterator[str]:
        """Yield the lines of an answer; ones that never end in pieces, unless `whole`."""
        patience = None if endless else 30.0
        answer = self._connection.send(method, path, query=query, patience=patience)
        try:
            left = b""
            for chunk in self._chunks(answer):
                *lines, left = (left + chunk).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in lines)
                if len(left) > _PIECE and not whole:
                    yield left.decode("utf-8", "replace")
                    left = b""
            if left:
                yield left.decode("utf-8", "replace")
        finally:
            answer.close()

    def _chunks(self, answer: Answer) -> Iterator[bytes]:
        try:
            yield from answer.stream(_PIECE, decode_content=True)
        except Exception as error:
            raise self._connection.away(error) from None


def _selectors(
    labels: Mapping[str, str] | str | None, fields: Mapping[str, str] | None
) -> list[tuple[str, str]]:
    if labels is not None and not isinstance(labels, str):
        labels = ",".join(f"{key}={value}" if value else key for key, value in labels.items())
    query = [("labelSelector", labels)] if labels else []
    if fields:
        query.append(("fieldSelector", ",".join(f"{key}={fields[key]}" for key in fields)))
    return query


def _address(manifest: Mapping[str, Any]) -> tuple[Kind, str | None, str]:
    metadata = manifest["metadata"]
    return kind_of(manifest), metadata.get("namespace"), metadata["name"]
