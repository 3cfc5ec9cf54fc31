"""Secrets a payload refers to: known to the handler alone, and in nothing that is stored or shown."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from mainspring import Context, Mainspring, secret
from mainspring.errors import ExecutionFailedError, NotFoundError, ValidationError
from mainspring.settings import unread

MARKER = "marker-hunter2-marker"


@pytest.fixture
def ms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mainspring:
    folder = tmp_path / "secrets" / "default"
    folder.mkdir(parents=True)
    (folder / "stripe").write_text(MARKER + "\n")
    (tmp_path / "secrets" / "other").mkdir()
    (tmp_path / "secrets" / "other" / "theirs").write_text(MARKER)
    monkeypatch.setenv("MAINSPRING_SECRETS_DIR", str(tmp_path / "secrets"))
    monkeypatch.setenv("MAINSPRING_SECRET__STRIPE", MARKER)
    monkeypatch.setenv("MAINSPRING_SECRET_KEYS", "")
    return Mainspring(tmp_path / "jobs.db", poll_ms=50)


def use(ctx: Context, token: str, *, fail: bool) -> int:
    """Log a secret in every way there is, then fail with it or succeed."""
    found = secret(token)
    ctx.log.info(f"calling with {found}", header=f"Bearer {found}", inner={"deep": [found]})
    if fail:
        raise RuntimeError(f"401 for {found}")
    return len(found)


def in_process(ctx: Context, token: str, fail: bool) -> int:
    return use(ctx, token, fail=fail)


@pytest.mark.parametrize("isolation", ["async", "thread", "process"])
@pytest.mark.parametrize("token", ["secret://env/STRIPE", "secret://file/stripe"])
async def test_a_secret_is_the_handlers_alone_and_in_nothing_that_is_kept(
    ms: Mainspring, isolation: str, token: str, tmp_path: Path
) -> None:
    async def in_loop(ctx: Context, token: str, fail: bool) -> int:
        return use(ctx, token, fail=fail)

    def in_thread(ctx: Context, token: str, fail: bool) -> int:
        return use(ctx, token, fail=fail)

    fn = {"async": in_loop, "thread": in_thread, "process": in_process}[isolation]
    handle: Any = ms.handler(name="use", isolation=isolation, retry=0)(fn)
    async with ms.running():
        run = await handle.aenqueue(token=token, fail=False)
        assert await run.aresult(30) == len(MARKER)
        assert run.execution.payload["token"] == token
        (line,) = await run.alogs()
        assert (line.message, line.fields["header"]) == ("calling with [redacted]", "Bearer [redacted]")
        failed = await handle.aenqueue(token=token, fail=True)
        with pytest.raises(ExecutionFailedError, match=r"401 for \[redacted\]"):
            await failed.aresult(30)
    await ms.close()
    with sqlite3.connect(tmp_path / "jobs.db") as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    assert MARKER not in dump
    assert token in dump


async def test_what_is_not_there_is_told_by_its_reference_and_nobody_elses_is_reached(ms: Mainspring) -> None:
    found: list[str] = []

    @ms.handler(name="look")
    async def look(token: str) -> str:
        try:
            return secret(token)
        except (NotFoundError, ValidationError) as error:
            found.append(str(error))
            return "none"

    async with ms.running():
        for token in (
            "secret://env/KEYS",
            "secret://file/theirs",
            "secret://file/../other/theirs",
            "secret://file/.hidden",
            "secret://vault/x",
            "hunter2",
        ):
            assert await (await look.aenqueue(token=token)).aresult(30) == "none"
    assert found[0] == "no secret 'secret://env/KEYS'"
    assert found[1] == "no secret 'secret://file/theirs'"
    assert all("is no reference to a secret" in text for text in found[2:])
    await ms.close()


def test_outside_of_an_attempt_there_are_no_secrets_and_their_variables_are_no_mistakes() -> None:
    with pytest.raises(LookupError):
        secret("secret://env/STRIPE")
    assert unread({"MAINSPRING_SECRET__STRIPE": "x", "MAINSPRING_SECRETKEYS": "y"}).keys() == {"MAINSPRING_SECRETKEYS"}
