"""One connection to a cluster's API: who we are there, requests, and why it does not answer.

The `kubernetes` package brings certificates, tokens, proxies and the pool of connections; nothing
of its generated API is used, so that a list of a thousand objects is only parsed as JSON. Imported
when a cluster is opened and not before: it takes half a second.
Leaves out: which context (`contexts`), what is asked (`client`).
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlencode

import urllib3
from kubernetes.client.configuration import Configuration
from kubernetes.client.rest import RESTClientObject
from kubernetes.config import kube_config
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError, ProtocolError

from fleet.cluster.away import why_away, within
from fleet.cluster.contexts import Context
from fleet.cluster.plugins import ask_plugin
from fleet.cluster.untrusted import one_line
from fleet.errors import AwayError, ClusterError, RefusedError

_ANSWER = 30.0
_UNAUTHORIZED, _FORBIDDEN = 401, 403
# An API server's own words for a group that it does not serve.
_NO_SUCH_GROUP = b"404 page not found"
_REFUSED = 300
_EXCERPT = 300
Answer = urllib3.BaseHTTPResponse


class Connection:
    """A cluster's API as one user; safe to share between threads."""

    def __init__(self, context: Context, patience: float) -> None:
        self.context = context
        self.patience = patience
        self._lock = threading.Lock()
        self.configuration, self._pool = self._connect()

    def headers(self) -> dict[str, str]:
        """Return what says who we are; an expired token is asked for anew."""
        token = self.configuration.get_api_key_with_prefix("BearerToken")
        return {"Authorization": token} if token else {}

    def url(self, path: str, query: Sequence[tuple[str, str]] = ()) -> str:
        """Return the address of a path of the API."""
        return (
            self.configuration.host.rstrip("/") + path + ("?" + urlencode(query) if query else "")
        )

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: object = None,
        content: str = "application/json",
        patience: float = _ANSWER,
    ) -> Any:
        """Send a request and return the JSON it is answered with."""
        answer = self.send(method, path, query=query, body=body, content=content, patience=patience)
        try:
            data = answer.data
        except (HTTPError, OSError) as error:
            raise self.away(error) from None
        try:
            return json.loads(data)
        except ValueError:
            raise self._strange(f"no JSON ({_excerpt(data)})") from None

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: object = None,
        content: str = "application/json",
        patience: float | None = _ANSWER,
    ) -> Answer:
        """Send a request and return the answer unread; raise RefusedError when it is no."""
        url = self.url(path, query)
        data = None if body is None else json.dumps(body)
        answer = self._once(method, url, data, content, patience)
        if answer.status == _UNAUTHORIZED and self.context.plugin is not None:
            # A plugin's token lives for minutes, a wait for runtimes may take longer.
            answer.drain_conn()
            with self._lock:
                self.configuration, self._pool = self._connect()
            answer = self._once(method, url, data, content, patience)
        if answer.status >= _REFUSED:
            raise self.refused(answer.status, _body(answer))
        return answer

    def _once(
        self, method: str, url: str, data: str | None, content: str, patience: float | None
    ) -> Answer:
        headers = {**self.headers(), "Accept": "application/json", "User-Agent": "opencode-fleet"}
        if data is not None:
            headers["Content-Type"] = content
        timeout = urllib3.Timeout(connect=self.patience, read=patience)
        # A server that restarts drops idle connections; asking again changes nothing when reading.
        tries = 2 if method == "GET" else 1
        while True:
            tries -= 1
            try:
                return self._pool.request(
                    method,
                    url,
                    body=data,
                    headers=headers,
                    timeout=timeout,
                    preload_content=False,
                    redirect=False,
                    retries=False,
                )
            except ProtocolError as error:
                if not tries:
                    raise self.away(error) from None
            except (HTTPError, OSError) as error:
                raise self.away(error) from None

    def probe(self) -> None:
        """Raise AwayError unless the cluster answers within the patience, whatever hangs."""

        def ask() -> None:
            try:
                self.ask("GET", "/version", patience=self.patience)
            except RefusedError as refusal:
                # Who may not ask for the version may still ask for pods.
                if refusal.status != _FORBIDDEN:
                    raise

        # Name lookups have no timeout of their own, hence the thread.
        late = self.away(TimeoutError(f"no answer in {self.patience:g} s"))
        within(self.patience + 0.5, ask, late)

    def away(self, error: Exception) -> AwayError:
        """Return why the cluster does not answer, as one line with what to do."""
        reason, change = why_away(error, self.configuration.host)
        return AwayError(f"{self._place}: does not answer ({reason}): {change}")

    @property
    def _place(self) -> str:
        return f"cluster.context: {self.context.name}"

    def refused(self, status: int, body: bytes) -> ClusterError:
        """Return what a refused request says, as one line."""
        said = _status(body)
        text = one_line(str(said.get("message") or "")) or _excerpt(body)
        reason = str(said.get("reason") or "")
        if status == _UNAUTHORIZED:
            text = (
                f"{self._place}: refuses your credentials ({text}): sign in again, or mend the"
                " user of this context in your kubeconfig"
            )
        elif said.get("kind") != "Status" and body.strip() != _NO_SUCH_GROUP:
            return self._strange(f"status {status} ({text})")
        return RefusedError(text, status=status, reason=reason)

    def _strange(self, answer: str) -> AwayError:
        return AwayError(
            f"{self._place}: answers with {answer}: something in between answers for it: check the"
            " server's address in your kubeconfig"
        )

    def _connect(self) -> tuple[Configuration, urllib3.PoolManager]:
        configuration = Configuration()
        configuration.keep_alive = True
        load = cast("Callable[..., None]", vars(kube_config)["load_kube_config_from_dict"])
        credentials = ask_plugin(self.context) if self.context.plugin is not None else None
        try:
            load(
                config_dict=self.context.as_kubeconfig(credentials),
                client_configuration=configuration,
                persist_config=False,
            )
            return configuration, RESTClientObject(configuration).pool_manager
        except (ConfigException, OSError, ValueError, ssl.SSLError) as error:
            raise ClusterError(
                f"{self._place}: cannot be used ({one_line(str(error), 200)}): mend your kubeconfig"
            ) from None


def _excerpt(body: bytes) -> str:
    return one_line(body[:_EXCERPT].decode("utf-8", "replace"), 80) or "without a word"


def _body(answer: Answer) -> bytes:
    try:
        return answer.data
    except (HTTPError, OSError):
        return b""


def _status(body: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return cast("Mapping[str, Any]", said) if isinstance(said, dict) else {}
