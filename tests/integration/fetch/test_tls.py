"""Over TLS the host's name is proved, whatever address it was pinned to; nobody on the way can shorten a file."""

import datetime as dt
import inspect
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.addresses import allowed
from tests.integration.fetch.conftest import Fetcher, NewSite
from tests.integration.fetch.site import Handler, Site

HOST = "data.example"


class Authority:
    """A certificate authority of the test's own, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kaos test authority")])
        self.path = folder / "authority.pem"
        ca = x509.BasicConstraints(ca=True, path_length=0)
        self.path.write_bytes(self._pem(self._sign(self.name, self.key, ca, signs=True)))

    def context(self, host: str) -> ssl.SSLContext:
        """A server's, with a certificate for `host`."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = self._sign(name, key, x509.SubjectAlternativeName([x509.DNSName(host)]))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self.folder / f"{host}.pem"
        path.write_bytes(self._pem(certificate) + private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType, *, signs: bool = False
    ) -> x509.Certificate:
        """With all that RFC 5280 asks for: from 3.13 on, Python does, too."""
        own, issuer = key.public_key(), self.key.public_key()
        usage = dict.fromkeys(inspect.signature(x509.KeyUsage).parameters, False)
        usage |= {"key_cert_sign": signs, "crl_sign": signs, "digital_signature": not signs}
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder(self.name, name, own, x509.random_serial_number())
        builder = builder.not_valid_before(now - dt.timedelta(hours=1))
        builder = builder.not_valid_after(now + dt.timedelta(hours=1))
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
        return builder.add_extension(extension, critical=True).sign(self.key, hashes.SHA256())

    @staticmethod
    def _pem(certificate: x509.Certificate) -> bytes:
        return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusting(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process trusts the authority, and every name leads to loopback."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))

    def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture
def secure(new_site: NewSite, authority: Authority, trusting: None) -> Iterator[Site]:
    return new_site(authority.context(HOST))


@pytest.fixture
def reader(fetcher: Fetcher, secure: Site) -> Fetcher:
    fetcher.settings = fetcher.settings.__class__(allow=allowed("127.0.0.1/32"), backoff=0.001, connections=4)
    return fetcher


def line(site: Site, name: str = "a.csv", host: str = HOST) -> dict[str, Any]:
    return {"url": f"https://{host}:{site.port}/{name}", "path": name}


def test_files_come_over_kept_connections(reader: Fetcher, secure: Site) -> None:
    secure.files = {f"/{number}": b"1" for number in range(40)}
    reader.fetch(*(line(secure, str(number)) for number in range(40)))
    assert len(reader.files()) == 40
    assert secure.connections <= 4


def test_a_certificate_for_another_host_is_refused(reader: Fetcher, secure: Site) -> None:
    secure.files["/a.csv"] = b"1"
    failure = reader.fails(line(secure, host="other.example"))
    assert failure.code == "fetch.certificate"
    assert "other.example" in failure.message


def test_an_authority_that_nobody_trusts_is_refused(
    reader: Fetcher, secure: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    assert reader.fails(line(secure)).code == "fetch.certificate"


def test_what_is_no_tls_is_told(reader: Fetcher, site: Site) -> None:
    assert reader.fails(line(site)).code == "fetch.unreachable"


def test_a_redirect_may_not_leave_tls(reader: Fetcher, secure: Site, site: Site) -> None:
    site.files["/b.csv"] = b"1"

    def act(handler: Handler) -> None:
        handler.head(301, {"Location": f"http://{HOST}:{site.port}/b.csv", "Content-Length": "0"})

    secure.acts["/a.csv"] = act
    assert reader.fails(line(secure)).code == "fetch.redirect"
    assert site.connections == 0


def test_a_connection_that_is_cut_ends_no_body(reader: Fetcher, secure: Site) -> None:
    """Without a length, only TLS's own goodbye tells that a body is whole; the wire's end can be anybody's."""

    def act(handler: Handler) -> None:
        handler.head(200, {"Connection": "close"})
        handler.wfile.write(b"the beginning")
        handler.hang_up()

    secure.acts["/a.csv"] = act
    assert reader.fails(line(secure)).code == "fetch.unreachable"


@pytest.mark.parametrize("where", ["handshake", "body"])
def test_a_server_that_stalls_is_left(reader: Fetcher, secure: Site, where: str) -> None:
    def act(handler: Handler) -> None:
        handler.head(200, {"Content-Length": "1000"})
        handler.site.closing.wait(30)

    secure.acts["/a.csv"] = act
    if where == "handshake":
        with socket.create_server(("127.0.0.1", 0)) as silent:
            secure.port = silent.getsockname()[1]
            failure = reader.fails(line(secure), patience=0.2)
    else:
        failure = reader.fails(line(secure), patience=0.2)
    assert failure.code == "fetch.unreachable"
