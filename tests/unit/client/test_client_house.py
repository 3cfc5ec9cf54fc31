"""The client is of one piece with the OpenAPI document, light to import, and says the same on both sides."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys

import pytest

from mainspring import errors
from mainspring.client import AsyncClient, Client, asks, nouns, problems
from mainspring.client.problems import Problem, ServerUnreachableError, problem_of
from mainspring.client.shapes import Execution, Job
from mainspring.model.execution import Status
from tests import client_code, openapi

SERVER_MODULES = ("fastapi", "starlette", "uvicorn", "sqlalchemy", "psycopg", "redis", "pydantic", "httpx2", "rich")


def test_the_client_is_imported_without_the_server_and_without_an_http_library() -> None:
    script = f"import sys, mainspring.client; print([m for m in {SERVER_MODULES!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_using_a_client_loads_nothing_of_the_server_either() -> None:
    script = (
        "import sys; from mainspring.client import Client; Client('http://127.0.0.1:9').close();"
        f"print([m for m in {SERVER_MODULES!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['httpx2']"


def test_what_is_made_from_the_document_is_as_the_document_is() -> None:
    """`./dev openapi` writes both."""
    for path, code in client_code.made(openapi.committed()).items():
        assert path.read_text("utf-8") == code, f"{path.name} is not of the document: run ./dev openapi"


def test_every_ask_there_is_has_a_method() -> None:
    made = {name for name, _ in inspect.getmembers(asks, inspect.isfunction) if not name.startswith("_")}
    known = {name for name in made if getattr(asks, name).__module__ == asks.__name__}
    kinds = [kind for _, kind in inspect.getmembers(nouns, inspect.isclass) if issubclass(kind, nouns.Noun)]
    named = {getattr(value, "_build", None) for kind in kinds for value in vars(kind).values()}
    assert {name for name in known if getattr(asks, name) not in named} == set()


def test_both_clients_have_the_same_nouns_and_their_methods_say_what_they_do() -> None:
    blocking, awaiting = vars(Client("http://127.0.0.1:9")), vars(AsyncClient("http://127.0.0.1:9"))
    kinds = [{name: type(noun) for name, noun in one.items() if name != "_driver"} for one in (blocking, awaiting)]
    assert kinds[0] == kinds[1]
    assert Client("http://127.0.0.1:9").jobs.pause.__doc__ == asks.pause_job.__doc__
    assert "(job: 'str'" in str(inspect.signature(Client("http://127.0.0.1:9").jobs.pause))


def test_an_answer_of_a_newer_server_is_as_good_as_any() -> None:
    run = Execution({"id": "e1", "status": "paused_by_moonlight", "new_field": 3, "created_at": "2026-03-01T09:00:00Z"})
    assert run.status == "paused_by_moonlight"
    assert run.new_field == 3
    assert run.finished_at is None
    assert run.created_at.isoformat() == "2026-03-01T09:00:00+00:00"
    with pytest.raises(AttributeError, match="has no field 'nothing'"):
        _ = run.nothing
    assert Execution({"status": "failed"}).status is Status.FAILED
    assert repr(Job({"id": "j", "name": "a"})) == "Job(id='j', name='a')"
    assert pickle.loads(pickle.dumps(run)) == run


def test_every_code_a_server_may_answer_with_is_an_error_of_the_package() -> None:
    from mainspring.api.problems import CODES, STATUS

    for kind, status in STATUS.items():
        code = kind.code if kind.code in CODES else "error"
        raised = problem_of(status, b'{"code": "%s", "detail": "d"}' % code.encode())
        assert isinstance(raised, errors.MainspringError)
        if status < 500 and kind is not errors.LeaseLostError and kind is not errors.EngineBusyError:
            assert isinstance(raised, kind | errors.ConflictError | errors.ValidationError), kind


def test_errors_survive_pickling() -> None:
    overlap = problem_of(409, b'{"code": "overlap", "detail": "busy", "running": "e1"}')
    assert isinstance(overlap, problems.OverlapProblem)
    again = pickle.loads(pickle.dumps(overlap))
    assert (type(again), again.running, str(again)) == (problems.OverlapProblem, "e1", "busy")
    gone = pickle.loads(pickle.dumps(ServerUnreachableError("http://a", "refused", sent=False)))
    assert gone.server == "http://a"


def test_a_proxys_page_is_no_riddle() -> None:
    error = problem_of(502, b"<html>Bad Gateway</html>")
    assert type(error) is Problem
    assert "502" in str(error)
    assert "is the address right?" in str(error)
