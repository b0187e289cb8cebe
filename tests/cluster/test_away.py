"""Why a cluster cannot be used: each way has its own words, one line, in bounded time."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
import sys
import time
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fleet.cluster.client import Cluster
from fleet.errors import AwayError, ClusterError, InputError, RefusedError
from tests.support.fakes.api_server import CONTEXT, ApiServer, Fault, api_server
from tests.support.fakes.served import Served

Settings = dict[str, Any]
API_VERSION = "client.authentication.k8s.io/v1"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def kubeconfig(server: str, user: Settings | None = None, **cluster: Any) -> str:
    return yaml.safe_dump(
        {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": server, **cluster}}],
            "users": [{"name": "u", "user": user or {}}],
        }
    )


def why(content: str, patience: float = 5.0) -> str:
    with pytest.raises(ClusterError) as raised:
        Cluster.open(kubeconfig=content, patience=patience).ready()
    text = str(raised.value)
    assert len(text.splitlines()) == 1
    assert len(text) < 500
    return text


@pytest.fixture
def port() -> Generator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def certificate(folder: Path, *, name: str, days: int = 1) -> tuple[ssl.SSLContext, str]:
    """Return a server's side of TLS with a certificate of its own, and where that lies."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    alternative: x509.GeneralName = x509.DNSName(name)
    if name[0].isdigit():
        alternative = x509.IPAddress(ipaddress.ip_address(name))
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=3))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = folder / "key.pem"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, private)
    return context, str(file)


class TestTheWayThere:
    def test_a_port_where_nothing_listens(self, port: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            free = unused.getsockname()[1]
        assert free != port
        text = why(kubeconfig(f"https://127.0.0.1:{free}"))
        assert f"c: does not answer (connection refused by 127.0.0.1:{free}): start" in text

    @pytest.mark.parametrize("scheme", ["https", "http"])
    def test_a_port_that_never_answers_is_given_up(self, port: int, scheme: str) -> None:
        start = time.monotonic()
        text = why(kubeconfig(f"{scheme}://127.0.0.1:{port}"), patience=0.3)
        assert f"(no answer from 127.0.0.1:{port} in time)" in text
        assert time.monotonic() - start < 4

    def test_a_lookup_that_hangs_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def hang(*_: Any, **__: Any) -> None:
            time.sleep(3)

        monkeypatch.setattr("socket.getaddrinfo", hang)
        start = time.monotonic()
        assert "does not answer" in why(kubeconfig("https://slow.example.com"), patience=0.1)
        assert time.monotonic() - start < 2

    def test_a_name_that_nobody_knows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*_: Any, **__: Any) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr("socket.getaddrinfo", unknown)
        assert "(no such host: api.example.com:6443)" in why(
            kubeconfig("https://api.example.com:6443")
        )

    def test_a_proxy_that_is_not_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            free = unused.getsockname()[1]
        proxy: Settings = {"proxy-url": f"http://127.0.0.1:{free}"}
        text = why(kubeconfig("https://api.example.com", **proxy))
        assert "(the proxy does not let us through to api.example.com)" in text

    @pytest.mark.parametrize("status", [200, 302, 404, 502])
    def test_something_in_between_that_answers_for_the_cluster(self, status: int) -> None:
        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(b"<html>\n<b>Sign in\x1b[2J")

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                del format, args

        with HTTPServer(("127.0.0.1", 0), Page) as server:
            Thread(target=server.handle_request).start()
            text = why(kubeconfig(f"http://127.0.0.1:{server.server_port}"))
        assert "something in between answers for it" in text
        assert "(<html> <b>Sign in\\x1b[2J)" in text


class TestCertificates:
    def test_of_an_unknown_authority(self, tmp_path: Path) -> None:
        tls, _ = certificate(tmp_path, name="127.0.0.1")
        with api_server(tls) as api:
            assert "is signed by an unknown authority" in why(kubeconfig(api.address))

    def test_for_another_name(self, tmp_path: Path) -> None:
        tls, file = certificate(tmp_path, name="api.example.com")
        known: Settings = {"certificate-authority": file}
        with api_server(tls) as api:
            assert "is for another name" in why(kubeconfig(api.address, **known))
            named = {**known, "tls-server-name": "api.example.com"}
            user = {"token": api.token}
            Cluster.open(kubeconfig=kubeconfig(api.address, user, **named)).ready()

    def test_that_is_too_old(self, tmp_path: Path) -> None:
        tls, file = certificate(tmp_path, name="127.0.0.1", days=-1)
        with api_server(tls) as api:
            known: Settings = {"certificate-authority": file}
            assert "is out of its time" in why(kubeconfig(api.address, **known))

    def test_none_at_all(self, api: ApiServer) -> None:
        address = api.address.replace("http://", "https://")
        assert "no TLS with 127.0.0.1" in why(kubeconfig(address))


class TestCredentials:
    def test_that_the_cluster_does_not_know(self, api: ApiServer) -> None:
        with pytest.raises(RefusedError, match="refuses your credentials") as raised:
            Cluster.open(kubeconfig=kubeconfig(api.address, {"token": "another"})).ready()
        assert raised.value.status == 401

    def test_that_may_not_ask_for_the_version_are_no_sign_of_a_cluster_that_is_away(
        self, api: ApiServer
    ) -> None:
        api.faults.append(Fault(path="/version", status=403, reason="Forbidden"))
        cluster = Cluster.open(kubeconfig=kubeconfig(api.address, {"token": api.token}))
        cluster.ready()
        assert cluster.list("pods") == []

    @staticmethod
    def plugin(*command: str, **more: Any) -> Settings:
        program, *arguments = command
        settings = {"apiVersion": API_VERSION, "command": program, "args": arguments, **more}
        return {"exec": {"interactiveMode": "Never", **settings}}

    @staticmethod
    def gives(token: str) -> str:
        answer = {"apiVersion": API_VERSION, "kind": "ExecCredential", "status": {"token": token}}
        return json.dumps(answer)

    def test_of_a_plugin_that_is_not_installed(self, api: ApiServer) -> None:
        text = why(kubeconfig(api.address, self.plugin("no-such-plugin")))
        assert "exec plugin no-such-plugin (no such program): install it" in text
        hinted = self.plugin("no-such-plugin", installHint="pip install\nit")
        assert "(no such program): pip install it" in why(kubeconfig(api.address, hinted))

    def test_of_a_plugin_that_fails_come_with_its_own_words(self, api: ApiServer) -> None:
        failing = self.plugin("sh", "-c", "echo the session is over >&2; exit 3")
        assert "returned 3. the session is over" in why(kubeconfig(api.address, failing))

    @pytest.mark.parametrize("said", ["hello", "{}", '{"kind": "x"}'])
    def test_of_a_plugin_that_says_something_else(self, api: ApiServer, said: str) -> None:
        text = why(kubeconfig(api.address, self.plugin("echo", said)))
        assert "no credentials from the exec plugin echo" in text

    def test_of_a_plugin_that_gives_nothing(self, api: ApiServer) -> None:
        nothing = json.dumps({"apiVersion": API_VERSION, "kind": "x", "status": {}})
        text = why(kubeconfig(api.address, self.plugin("echo", nothing)))
        assert "it gave neither a token nor a certificate" in text

    def test_of_a_plugin_that_works(self, api: ApiServer) -> None:
        content = kubeconfig(api.address, self.plugin("echo", self.gives(api.token)))
        cluster = Cluster.open(kubeconfig=content)
        cluster.ready()
        assert cluster.list("pods") == []

    def test_that_ran_out_are_asked_for_again(self, api: ApiServer, tmp_path: Path) -> None:
        file = tmp_path / "credentials"
        file.write_text(self.gives(api.token))
        cluster = Cluster.open(kubeconfig=kubeconfig(api.address, self.plugin("cat", str(file))))
        cluster.ready()
        api.token = api.token[::-1]
        file.write_text(self.gives(api.token))
        assert cluster.list("pods") == []

    def test_of_a_plugin_beside_its_kubeconfig(
        self, api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = tmp_path / "bin" / "login"
        script.parent.mkdir()
        script.write_text(f"#!{sys.executable}\nprint({self.gives(api.token)!r})\n")
        script.chmod(0o755)
        path = tmp_path / "kubeconfig"
        path.write_text(kubeconfig(api.address, self.plugin("bin/login")))
        monkeypatch.setenv("KUBECONFIG", str(path))
        cluster = Cluster.open()
        cluster.ready()
        assert cluster.list("pods") == []


class TestContexts:
    @pytest.fixture
    def write(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        def write(*contents: str) -> None:
            paths = [tmp_path / f"k{place}" for place in range(len(contents))]
            for path, content in zip(paths, contents, strict=True):
                path.write_text(content)
            monkeypatch.setenv("KUBECONFIG", ":".join([*map(str, paths), str(tmp_path / "none")]))

        return write

    def test_one_that_is_not_there_is_wrong_input_that_names_the_others(
        self, fleet: Served
    ) -> None:
        with pytest.raises(InputError, match=f"no such context .*: use one of {CONTEXT}"):
            Cluster.open("other")
        done = fleet.fleet("status", "-s", "t", "--context", "other")
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("cluster.context: other: no such context")

    def test_without_any_file_there_is_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
        with pytest.raises(InputError, match="your kubeconfig is empty"):
            Cluster.open("a")

    def test_the_first_file_that_has_a_name_wins(
        self, write: Callable[..., None], api: ApiServer
    ) -> None:
        write(kubeconfig(api.address, {"token": api.token}), kubeconfig("https://other.invalid"))
        cluster = Cluster.open("c")
        cluster.ready()
        assert cluster.list("pods") == []

    @pytest.mark.parametrize("content", ["a: [", "- a", "text"])
    def test_a_file_that_is_no_kubeconfig_is_wrong_input(
        self, write: Callable[..., None], content: str
    ) -> None:
        write(content)
        with pytest.raises(InputError, match=r"kubeconfig: .*: not a YAML mapping: mend it"):
            Cluster.open("a")

    def test_one_whose_cluster_is_missing_is_wrong_input(self, write: Callable[..., None]) -> None:
        write("contexts: [{name: a, context: {cluster: k}}]")
        with pytest.raises(InputError, match=r"cluster\.context: a: its cluster has no server"):
            Cluster.open("a")

    def test_certificates_of_a_file_are_looked_for_beside_it(
        self, write: Callable[..., None], tmp_path: Path
    ) -> None:
        tls, _ = certificate(tmp_path, name="127.0.0.1")
        with api_server(tls) as api:
            authority = {"certificate-authority": "certificate.pem"}
            write(kubeconfig(api.address, {"token": api.token}, **authority))
            Cluster.open().ready()
            (tmp_path / "certificate.pem").unlink()
            with pytest.raises(ClusterError, match=r"cannot be used .*certificate"):
                Cluster.open()


def test_a_cluster_that_goes_away_in_between_is_told(fleet: Served) -> None:
    cluster = fleet.cluster
    cluster.ready()
    fleet.api.faults.append(Fault(path="/pods"))
    with pytest.raises(AwayError, match="does not answer"):
        cluster.list("pods")


def test_reading_is_tried_again_where_a_connection_was_dropped(fleet: Served) -> None:
    fleet.api.faults.append(Fault(path="/pods", times=1))
    assert fleet.cluster.list("pods") == []


def test_changing_is_not_tried_again(fleet: Served) -> None:
    fleet.api.faults.append(Fault(path="/pods", times=1))
    with pytest.raises(AwayError):
        fleet.cluster.delete("pods", "a", "n")
    assert len(fleet.api.asked("DELETE")) == 1
