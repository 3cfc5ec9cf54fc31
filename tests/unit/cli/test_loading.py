"""An application is found by module or by file; what is wrong is said with its place and the way out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainspring import Mainspring
from mainspring.cli.exits import UsageError
from mainspring.cli.loading import load_app


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder, and forget afterwards what was imported from it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


MS = "from mainspring import Mainspring\n"


def test_by_module_and_attribute_from_the_present_folder(tmp_path: Path) -> None:
    write(tmp_path / "shop_one.py", MS + "mine = Mainspring()\n")
    assert isinstance(load_app("shop_one:mine"), Mainspring)
    assert isinstance(load_app("shop_one"), Mainspring)  # the only one there is


@pytest.mark.parametrize("name", ["ms", "app", "mainspring"])
def test_by_file_under_the_usual_names(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / "deep" / f"shop_{name}.py", MS + f"other = 1\n{name} = Mainspring()\n")
    assert isinstance(load_app(str(file)), Mainspring)
    assert isinstance(load_app(f"{file}:{name}"), Mainspring)


def test_a_file_of_a_package_is_imported_under_its_full_name(tmp_path: Path) -> None:
    write(tmp_path / "shop_pkg" / "__init__.py", "")
    write(tmp_path / "shop_pkg" / "names.py", "NAME = 'x'\n")
    write(tmp_path / "shop_pkg" / "jobs.py", MS + "from .names import NAME\nms = Mainspring()\n")
    load_app("shop_pkg/jobs.py")
    assert "shop_pkg.jobs" in sys.modules


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("no_such_module:ms", "there is no module 'no_such_module'"),
        ("no/such/file.py", "there is no file"),
        (":ms", "names no module"),
        ("shop_bad:nope", "has no attribute 'nope'"),
        ("shop_bad:value", "is a int, not a Mainspring application"),
        ("shop_bad", "has no Mainspring application"),
        ("shop_two", "has several applications: one, two"),
        ("shop_broken", r"ZeroDivisionError: division by zero at .*shop_broken.py:2"),
        ("shop_syntax", r"SyntaxError: .* at .*shop_syntax.py:1"),
        ("shop_import", "No module named 'not_installed'"),
        ("shop_exit", "SystemExit"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, where: str, says: str) -> None:
    write(tmp_path / "shop_bad.py", "value = 1\n")
    write(tmp_path / "shop_two.py", MS + "one = Mainspring()\ntwo = Mainspring()\n")
    write(tmp_path / "shop_broken.py", "x = 1\n1 / 0\n")
    write(tmp_path / "shop_syntax.py", "def (:\n")
    write(tmp_path / "shop_import.py", "import not_installed\n")
    write(tmp_path / "shop_exit.py", "import sys\nsys.exit('no')\n")
    with pytest.raises(UsageError, match=says):
        load_app(where)


def test_a_file_hidden_by_another_module_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "queue.py", MS + "ms = Mainspring()\n")
    with pytest.raises(UsageError, match="hidden by another module named 'queue'"):
        load_app(str(file))
