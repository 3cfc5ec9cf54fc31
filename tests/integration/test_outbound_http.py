"""The outbound HTTP client against real sockets: what it refuses to call, and what it does not wait for."""

from __future__ import annotations

import asyncio
import gzip
import socket
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Sequence
from pathlib import Path

import pytest

from mainspring.adapters.http import AddressPolicy, HttpLimits, OutboundHttp
from mainspring.ports.http import OutboundFailedError, OutboundRefusedError
from tests.integration.local_servers import Asked, HttpServer, client_tls, server_tls, serving, status

QUICK = HttpLimits(connect=1, silence=1, total=2, body=64 * 1024)


def reaching(port: int, **kwargs: object) -> OutboundHttp:
    """A client that may call this port of loopback."""
    policy = AddressPolicy.allowing([f"127.0.0.1/32:{port}"])
    return OutboundHttp(policy, **{"limits": QUICK, **kwargs})  # type: ignore[arg-type]


class Names:
    """A resolver whose names answer in turn: the last answer stays."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self._answers = {name.replace("_", "."): list(found) for name, found in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self._answers[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


async def numbers_only(host: str, port: int) -> Sequence[str]:
    """The system's own reading of numbers in all their spellings; names it would have to ask others for fail."""
    flags = 0 if host.strip(".") == "localhost" else socket.AI_NUMERICHOST
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [str(address[0]) for *_, address in found]


HOSTILE = [
    "file:///etc/passwd",
    "ftp://example.org/",
    "gopher://example.org/",
    "unix:///run/docker.sock",
    "//example.org/",
    "example.org",
    "",
    "http://",
    "http:///x",
    "http://user:password@example.org/",
    "http://example.org@127.0.0.1/",
    "http://example.org:0/",
    "http://example.org:70000/",
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://0/",
    "http://0.0.0.0/",
    "http://localhost/",
    "http://localhost./",
    "http://LOCALHOST/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[fe80::1]/",
    "http://[fd00:ec2::254]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/",
    "http://2852039166/",
    "http://100.100.100.200/",
    "http://10.0.0.1/",
    "http://192.168.0.1/",
    "http://172.16.0.1/",
    "http://224.0.0.1/",
    "http://127.0.0.1:6379/",
    "http://１２７.０.０.１/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://example.org\\@127.0.0.1/",
    "http://127.0.0.1%2f@example.org/",
    "http://127.0.0.1\t/",
    "http://127.0.0.1\r\nHost: example.org/",
    "http://[::1",
    "http://exa mple.org/",
    "http://" + "a" * 70_000 + "/",
]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Whatever is connected to, none of it is reached: a hostile URL must not get that far."""
    tried: list[object] = []

    async def sock_connect(self: object, sock: object, address: object) -> None:
        tried.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(BaseSelectorEventLoop, "sock_connect", sock_connect)
    return tried


@pytest.mark.parametrize("url", HOSTILE, ids=lambda url: ascii(url)[1:60])
async def test_a_hostile_url_opens_no_connection(url: str, no_network: list[object]) -> None:
    with pytest.raises((OutboundRefusedError, OutboundFailedError)):
        await OutboundHttp(limits=QUICK, resolver=numbers_only).request("GET", url)
    assert no_network == []


async def test_a_public_address_is_called(no_network: list[object]) -> None:
    """So that the tests around this one do not pass for another reason."""
    with pytest.raises(OutboundFailedError, match="ConnectError"):
        await OutboundHttp(resolver=Names(public_test=[["93.184.215.14"]])).request("GET", "http://public.test/")
    assert no_network == [("93.184.215.14", 80)]


@pytest.mark.parametrize("url", ["http://2130706433:{port}/", "http://0x7f.1:{port}/", "http://0177.0.0.1:{port}/"])
async def test_every_spelling_of_loopback_is_refused_where_something_listens(url: str) -> None:
    server = HttpServer()
    async with serving(server.talk) as port:
        policy = AddressPolicy(ports=frozenset({port}))
        with pytest.raises(OutboundRefusedError, match=r"127\.0\.0\.1 \(loopback\)|Invalid IPv4"):
            await OutboundHttp(policy, limits=QUICK).request("GET", url.format(port=port))
    assert server.asked == []


async def test_a_name_is_looked_up_once_and_the_checked_address_is_called() -> None:
    """Rebinding: the name is public when it is checked and private when it is called. Here these are one moment."""
    server = HttpServer()
    async with serving(server.talk) as port:
        names = Names(rebind_test=[["127.0.0.1"], ["169.254.169.254"]])
        client = reaching(port, resolver=names)
        assert (await client.request("GET", f"http://rebind.test:{port}/x?y=1")).status == 204
        assert names.asked == ["rebind.test"]
        with pytest.raises(OutboundRefusedError, match=r"169\.254\.169\.254"):
            await client.request("GET", f"http://rebind.test:{port}/")
    assert [(a.target, a.headers["host"]) for a in server.asked] == [("/x?y=1", f"rebind.test:{port}")]


async def test_one_private_address_among_public_ones_refuses_the_name(no_network: list[object]) -> None:
    names = Names(mixed_test=[["93.184.215.14", "10.0.0.1"]])
    with pytest.raises(OutboundRefusedError, match=r"mixed.test port 80 must not be called: 10.0.0.1 \(private\)"):
        await OutboundHttp(resolver=names, limits=QUICK).request("GET", "http://mixed.test/")
    assert no_network == []


async def test_a_dead_address_is_followed_by_the_next() -> None:
    server = HttpServer()
    async with serving(server.talk) as port:
        policy = AddressPolicy.allowing([f"127.0.0.0/8:{port}"])
        names = Names(two_test=[["127.0.0.9", "127.0.0.1"]])
        client = OutboundHttp(policy, resolver=names, limits=QUICK)
        assert (await client.request("GET", f"http://two.test:{port}/")).status == 204


async def test_tls_and_host_keep_the_name_and_the_certificate_is_checked_against_it() -> None:
    server, seen = HttpServer(), []
    tls = server_tls()
    tls.sni_callback = lambda _socket, name, _context: seen.append(name)
    async with serving(server.talk, tls) as port:
        names = Names(hooks_example_test=[["127.0.0.1"]], other_example_test=[["127.0.0.1"]])
        client = reaching(port, resolver=names, tls=client_tls())
        assert (await client.request("GET", f"https://hooks.example.test:{port}/")).status == 204
        with pytest.raises(OutboundFailedError, match=r"(?i)certificate"):
            await client.request("GET", f"https://other.example.test:{port}/")
        with pytest.raises(OutboundFailedError, match=r"(?i)certificate"):
            await reaching(port, resolver=names).request("GET", f"https://hooks.example.test:{port}/")
    assert seen[0] == "hooks.example.test"
    assert [a.headers["host"] for a in server.asked] == [f"hooks.example.test:{port}"]


async def test_a_redirect_is_an_answer_and_credentials_stay() -> None:
    metadata, server = HttpServer(), HttpServer()
    async with serving(metadata.talk) as elsewhere, serving(server.talk) as port:
        server.answer = status(302, location=f"http://127.0.0.1:{elsewhere}/latest/meta-data/")
        policy = AddressPolicy.allowing([f"127.0.0.1/32:{port}", f"127.0.0.1/32:{elsewhere}"])
        reply = await OutboundHttp(policy, limits=QUICK).request(
            "POST", f"http://127.0.0.1:{port}/", headers={"Authorization": "Bearer x"}, content=b"{}"
        )
    assert reply.status == 302
    assert metadata.asked == []


async def test_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    proxy, server = HttpServer(), HttpServer()
    async with serving(proxy.talk) as elsewhere, serving(server.talk) as port:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{elsewhere}")
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login a password b\n")
        monkeypatch.setenv("NETRC", str(netrc))
        assert (await reaching(port).request("GET", f"http://127.0.0.1:{port}/")).status == 204
    assert proxy.asked == []
    assert "authorization" not in server.asked[0].headers
    assert server.asked[0].headers["user-agent"].startswith("Mainspring/")


async def test_a_slow_drip_ends_when_the_time_is_over() -> None:
    async def drip(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with serving(HttpServer(drip).talk) as port:
        limits = HttpLimits(total=0.3)
        with pytest.raises(OutboundFailedError, match=r"no answer within 0.3 s"):
            await reaching(port, limits=limits).request("GET", f"http://127.0.0.1:{port}/secret-path")
        head = await reaching(port, limits=limits).request("GET", f"http://127.0.0.1:{port}/", read_body=False)
    assert head.status == 200


async def test_silence_ends_sooner_than_the_whole_time() -> None:
    async def nothing(_: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serving(HttpServer(nothing).talk) as port:
        with pytest.raises(OutboundFailedError, match="ReadTimeout"):
            await reaching(port, limits=HttpLimits(silence=0.1, total=30)).request("GET", f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("coding", ["gzip", "identity"])
async def test_a_body_is_bounded_after_it_was_unpacked(coding: str) -> None:
    plain = b"0" * (50 << 20)
    body = gzip.compress(plain, 1) if coding == "gzip" else plain[: 1 << 20]
    server = HttpServer(status(200, body, content_encoding=coding))
    async with serving(server.talk) as port:
        with pytest.raises(OutboundFailedError, match="over the limit of 65536 bytes"):
            await reaching(port).request("GET", f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd", "gzip,gzip,gzip,gzip"])
async def test_codings_nobody_asked_for_are_refused(coding: str) -> None:
    server = HttpServer(status(200, b"x", content_encoding=coding))
    async with serving(server.talk) as port:
        with pytest.raises(OutboundFailedError, match="not asked for"):
            await reaching(port).request("GET", f"http://127.0.0.1:{port}/")


async def test_headers_are_bounded() -> None:
    server = HttpServer(status(200, b"", x="y" * (1 << 20)))
    async with serving(server.talk) as port:
        with pytest.raises(OutboundFailedError):
            await reaching(port).request("GET", f"http://127.0.0.1:{port}/")


async def test_a_small_answer_is_read_whole() -> None:
    server = HttpServer(status(200, gzip.compress(b'{"a": 1}'), content_encoding="gzip", x_y="1"))
    async with serving(server.talk) as port:
        reply = await reaching(port).request("GET", f"http://127.0.0.1:{port}/")
    assert (reply.status, reply.body, reply.headers["x-y"]) == (200, b'{"a": 1}', "1")


async def test_a_refused_connection_and_an_unknown_name_may_be_tried_again() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        with pytest.raises(OutboundFailedError, match=f"http://127.0.0.1:{port}: ConnectError"):
            await reaching(port).request("GET", f"http://127.0.0.1:{port}/secret-path?token=x")

    async def nobody(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(OutboundFailedError, match="gaierror"):
        await OutboundHttp(resolver=nobody).request("GET", "http://nobody.test/")


async def test_a_hung_resolver_is_not_waited_for() -> None:
    async def hang(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(OutboundFailedError, match=r"no connection within 0\.05 s"):
        await OutboundHttp(resolver=hang, limits=HttpLimits(connect=0.05)).request("GET", "http://slow.test/")


async def test_errors_do_not_show_what_a_url_hides() -> None:
    server = HttpServer(status(200, b"x" * 100_000))
    async with serving(server.talk) as port:
        with pytest.raises(OutboundFailedError) as error:
            await reaching(port).request("GET", f"http://127.0.0.1:{port}/services/T0/hunter2?token=hunter2")
    assert "hunter2" not in str(error.value)
