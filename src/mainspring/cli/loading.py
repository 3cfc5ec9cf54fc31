"""Find the application a process is to run: ``module:attribute``, ``path/to/file.py:attribute``, or a database's."""

from __future__ import annotations

import dataclasses
import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mainspring.cli.exits import UsageError

if TYPE_CHECKING:
    from mainspring.app import Mainspring

#: Attributes looked for where none is named.
NAMES = ("ms", "app", "mainspring")


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """Which application a command line asks for, and what it says over the application's settings.

    ``where`` None: the one behind the database, whose handlers are those built in.
    """

    where: str | None = None
    database_url: str | None = None
    platform: str | None = None
    queues: str | None = None

    def app(self) -> Mainspring:
        """Return the application, not yet connected. Raises `UsageError` where there is none."""
        from mainspring.app import Mainspring

        app = Mainspring(self.database_url, platform=self.platform) if self.where is None else load_app(self.where)
        self._set(app)
        return app

    def _set(self, app: Mainspring) -> None:
        from mainspring.settings import parse_queues

        given = {"database_url": self.database_url, "platform": self.platform, "queues": self.queues}
        over: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if over:
            parse_queues(over.get("queues", app.settings.queues))
            origin = {**app.settings.origin, **dict.fromkeys(over, "argument")}
            app.settings = dataclasses.replace(app.settings, **over, origin=origin)
            app.platform_id = app.settings.platform


def load_app(where: str) -> Mainspring:
    """Import the module and return the application in it. Raises `UsageError` that says what is wrong and where."""
    from mainspring.app import Mainspring

    text, _, attribute = where.partition(":")
    if not text:
        raise UsageError(f"{where!r} names no module", fix="Write module:attribute, such as jobs:ms, or jobs.py")
    module = _module_of_file(Path(text)) if text.endswith(".py") or "/" in text else _module(text)
    if attribute:
        found = _attribute(module, attribute)
        if not isinstance(found, Mainspring):
            raise UsageError(f"{where} is {_kind(found)}, not a Mainspring application")
        return found
    for name in NAMES:
        if isinstance(found := getattr(module, name, None), Mainspring):
            return found
    others = [name for name, value in vars(module).items() if isinstance(value, Mainspring)]
    if len(others) == 1:
        return vars(module)[others[0]]  # type: ignore[no-any-return]
    if others:
        raise UsageError(f"{text} has several applications: {', '.join(others)}", fix=f"Write {text}:{others[0]}")
    raise UsageError(f"{text} has no Mainspring application", fix="Put one in it: ms = Mainspring()")


def _attribute(module: ModuleType, path: str) -> object:
    found: object = module
    for name in path.split("."):
        if not hasattr(found, name):
            raise UsageError(f"{module.__name__} has no attribute {path!r}")
        found = getattr(found, name)
    return found


def _module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return _imported(name, name)


def _module_of_file(path: Path) -> ModuleType:
    """Import a file under the name its package gives it, so that child processes find it by the same name."""
    if not path.is_file():
        raise UsageError(f"there is no file {path}", fix=f"It was looked for in {Path.cwd()}")
    file = path.resolve()
    names, folder = [file.stem], file.parent
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    name = ".".join(names).removesuffix(".__init__")
    module = _imported(name, str(path))
    found = getattr(module, "__file__", None)
    if found is None or Path(found).resolve() != file:
        raise UsageError(f"{path} is hidden by another module named {name!r}: {found or 'a built-in'}", fix="Rename it")
    return module


def _imported(name: str, shown: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            fix = f"It was looked for in {Path.cwd()} and in this Python's packages. A file is named path/to/file.py"
            raise UsageError(f"there is no module {name!r}", fix=fix) from error
        raise _broken(shown, error) from error
    except (Exception, SystemExit) as error:
        raise _broken(shown, error) from error


def _broken(shown: str, error: BaseException) -> UsageError:
    """Say what went wrong in the user's own code, with the place in it and without our frames around."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "importlib" not in f.filename and f.filename != __file__]
    where = f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
    if isinstance(error, SyntaxError) and error.filename:
        where = f" at {error.filename}:{error.lineno}"
        return UsageError(f"{shown} cannot be imported: {type(error).__name__}: {error.msg}{where}")
    return UsageError(f"{shown} cannot be imported: {type(error).__name__}: {error}{where}")


def _kind(value: object) -> str:
    return "a module" if isinstance(value, ModuleType) else f"a {type(value).__name__}"
