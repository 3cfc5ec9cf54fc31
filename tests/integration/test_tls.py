"""TLS to PostgreSQL, Redis and the API: a certificate nobody vouches for, or another host's, is refused."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis.exceptions import ConnectionError as RedisConnectionError

from mainspring import Mainspring
from mainspring.adapters.redis.connection import RedisSettings, connect
from mainspring.adapters.sql.postgres import PostgresStore
from mainspring.api.server import ServerSettings, serving
from mainspring.errors import StoreUnavailableError
from tests import servers

DAY = timedelta(days=1)


@dataclass
class Authority:
    """Who signs certificates, and where its own is."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    path: Path


def authority(folder: Path, name: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = _signed(subject, subject, key.public_key(), key, [x509.BasicConstraints(ca=True, path_length=0)])
    path = folder / f"{name}.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(key, certificate, path)


def issued(by: Authority, folder: Path, name: str) -> tuple[Path, Path]:
    """Return the files of a certificate for one host, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        host: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        host = x509.DNSName(name)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = _signed(
        subject, by.certificate.subject, key.public_key(), by.key, [x509.SubjectAlternativeName([host])]
    )
    files = folder / f"{name}.crt", folder / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    key: ec.EllipticCurvePrivateKey,
    extensions: list[x509.ExtensionType],
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - DAY).not_valid_after(now + DAY)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(key, hashes.SHA256())


@dataclass
class Certificates:
    """The authority we believe, one we do not, and what the first has issued: for us, and for another host."""

    ours: Authority
    others: Authority
    right: tuple[Path, Path]
    wrong: tuple[Path, Path]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("tls")
    ours, others = authority(folder, "ours"), authority(folder, "others")
    return Certificates(ours, others, issued(ours, folder, "127.0.0.1"), issued(ours, folder, "another.example"))


@contextmanager
def behind_tls(port: int, files: tuple[Path, Path], *, postgres: bool = False) -> Iterator[int]:
    """Serve a plain server's port over TLS on another; PostgreSQL's clients first ask whether they may."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*files)
    if postgres:
        context.set_alpn_protocols(["postgresql"])
    loop = asyncio.new_event_loop()
    started: list[asyncio.Server] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if postgres:
                await reader.readexactly(8)
                writer.write(b"S")
                await writer.start_tls(context)
            inner, outer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_pass_on(reader, outer), _pass_on(inner, writer), return_exceptions=True)
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass  # who does not believe us leaves
        finally:
            writer.close()

    async def start() -> int:
        started.append(await asyncio.start_server(talk, "127.0.0.1", 0, ssl=None if postgres else context))
        found: int = started[0].sockets[0].getsockname()[1]
        return found

    async def stop() -> None:
        started[0].close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever, name="tls")
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    finally:
        writer.close()


async def test_postgres_is_believed_with_a_certificate_of_its_own_and_no_other(
    certificates: Certificates, postgres18_url: str
) -> None:
    port = int(postgres18_url.rpartition(":")[2].partition("/")[0])

    def url(port: int, trusted: Path) -> str:
        base = postgres18_url.replace(f":{postgres18_url.rpartition(':')[2].partition('/')[0]}/", f":{port}/")
        return f"{base}?sslmode=verify-full&sslrootcert={trusted}"

    with behind_tls(port, certificates.right, postgres=True) as right:
        assert await PostgresStore(url(right, certificates.ours.path), random=Random(1)).identity()
        with pytest.raises(StoreUnavailableError, match="certificate verify failed"):
            await PostgresStore(url(right, certificates.others.path), random=Random(1)).identity()
    mismatch = pytest.raises(StoreUnavailableError, match=r"does not match host name|Hostname mismatch")
    with behind_tls(port, certificates.wrong, postgres=True) as wrong, mismatch:
        await PostgresStore(url(wrong, certificates.ours.path), random=Random(1)).identity()


async def test_redis_is_believed_with_a_certificate_of_its_own_and_no_other(certificates: Certificates) -> None:
    with servers.valkey() as server, behind_tls(server.port, certificates.right) as right:
        password = server.url.split("@")[0].rpartition(":")[2]

        async def ping(port: int, trusted: Path) -> bool:
            url = f"rediss://:{password}@127.0.0.1:{port}/0?ssl_ca_certs={trusted}"
            client = connect(RedisSettings(url))
            try:
                return bool(await client.ping())
            finally:
                await client.aclose()

        assert await ping(right, certificates.ours.path)
        with pytest.raises(RedisConnectionError, match="certificate verify failed"):
            await ping(right, certificates.others.path)
        mismatch = pytest.raises(RedisConnectionError, match=r"certificate is not valid for '127\.0\.0\.1'")
        with behind_tls(server.port, certificates.wrong) as wrong, mismatch:
            await ping(wrong, certificates.ours.path)


async def test_the_api_is_believed_with_a_certificate_of_its_own_and_no_other(
    certificates: Certificates, tmp_path: Path
) -> None:
    app = Mainspring(tmp_path / "jobs.db")
    await app.open()
    certificate, key = map(str, certificates.right)
    try:
        async with serving(app, ServerSettings(port=0, certificate=certificate, certificate_key=key)) as url:
            assert url.startswith("https://127.0.0.1:")
            port = int(url.rpartition(":")[2])
            assert await asked(port, certificates.ours.path, "127.0.0.1") == b"HTTP/1.1 200 OK"
            with pytest.raises(ssl.SSLCertVerificationError, match=r"unable to get local issuer|self-signed"):
                await asked(port, certificates.others.path, "127.0.0.1")
            with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'another\.example'"):
                await asked(port, certificates.ours.path, "another.example")
    finally:
        await app.close()


async def asked(port: int, trusted: Path, name: str) -> bytes:
    context = ssl.create_default_context(cafile=str(trusted))
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.split(b"\r\n")[0]


async def test_encryption_that_checks_nobody_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "mainspring"):
        PostgresStore("postgresql://db.example/jobs?sslmode=require", random=Random(1))
        await connect(RedisSettings("rediss://db.example/0?ssl_cert_reqs=none")).aclose()
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "database_url says sslmode=require, which encrypts and does not check the server's certificate",
        "redis_url switches the check of the server's certificate off",
    ]
    caplog.clear()
    PostgresStore("postgresql://db.example/jobs?sslmode=verify-full", random=Random(1))
    assert caplog.records == []
