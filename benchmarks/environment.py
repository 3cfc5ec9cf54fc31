"""The environments the peers run in: made when first asked for, outside the one of this checkout, in `.bench/`.

Peers that share a section of `requirements-peers.txt` share an environment; those of Node share `.bench/node`. Ours has
what `pip install 'mainspring[cluster]'` brings, in the locked versions, and the code of this checkout: drivers load
what else they find installed, and a developer has all of it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.catalogue import Peer
from benchmarks.errors import PeerUnavailableError

HERE = Path(__file__).parent
ROOT = HERE.parent
PLACE = ROOT / ".bench"
NODE = PLACE / "node"
#: The oldest Node its peers take.
NODE_MAJOR = 20
INSTALL_WITHIN = 600


def interpreter(peer: Peer) -> str:
    """Return the program that runs a peer's adapter, once what it needs is installed."""
    if peer.is_node:
        return _node()
    if peer.is_ours:
        return _ours()
    section = requirements().get(peer.name)
    if section is None:  # nothing but the standard library
        return sys.executable
    home, needed = section
    return _python(PLACE / home, needed)


def requirements() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the environment's name and the pinned requirements of each peer that has some."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    names: list[str] = []
    for line in (HERE / "requirements-peers.txt").read_text().splitlines():
        text = line.strip()
        if text.startswith("["):
            names = [name.strip() for name in text.strip("[]").split(",")]
            found |= dict.fromkeys(names, (names[0], ()))
        elif text and not text.startswith("#"):
            found |= {name: (names[0], (*found[name][1], text)) for name in names}
    return found


def _python(home: Path, needed: tuple[str, ...]) -> str:
    python = home / "bin" / "python"
    if not _stamped(home, "\n".join(needed)):
        shutil.rmtree(home, ignore_errors=True)
        _run([_uv(), "venv", "--quiet", "--python", sys.executable, str(home)])
        _run([_uv(), "pip", "install", "--quiet", "--python", str(python), *needed])
        _stamp(home, "\n".join(needed))
    return str(python)


def _ours() -> str:
    project, locked = ROOT / "pyproject.toml", ROOT / "requirements" / "dev.txt"
    needed = f"{project.read_text()}{locked.read_text()}"
    home = PLACE / "ours"
    if not _stamped(home, needed):
        shutil.rmtree(home, ignore_errors=True)
        _run([_uv(), "venv", "--quiet", "--python", sys.executable, str(home)])
        install = [_uv(), "pip", "install", "--quiet", "--python", str(home / "bin" / "python")]
        _run([*install, "--requirements", str(project), "--extra", "cluster", "--constraints", str(locked)])
        _stamp(home, needed)
    return str(home / "bin" / "python")


def _node() -> str:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise PeerUnavailableError(f"needs Node {NODE_MAJOR} or newer and npm")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < NODE_MAJOR:
        raise PeerUnavailableError(f"needs Node {NODE_MAJOR} or newer; this is {version}")
    sources = sorted((HERE / "node").glob("*.mjs"))
    lock = (HERE / "node" / "package-lock.json").read_text()
    if not _stamped(NODE, lock):
        shutil.rmtree(NODE, ignore_errors=True)
        NODE.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "node" / name, NODE)
        _run([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(NODE)])
        _stamp(NODE, lock)
    for source in sources:  # beside their modules, which is where Node looks for them
        shutil.copy(source, NODE)
    return node


def _uv() -> str:
    found = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if found is None:
        raise PeerUnavailableError("needs uv to make its environment: run ./dev setup")
    return found


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_WITHIN)
    except subprocess.TimeoutExpired:
        raise PeerUnavailableError(f"{Path(command[0]).name} took longer than {INSTALL_WITHIN} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise PeerUnavailableError("cannot be installed: " + " ".join(said[-3:]))


def _digest(text: str) -> str:
    return hashlib.sha256(f"{sys.version}\n{text}".encode()).hexdigest()


def _stamped(home: Path, text: str) -> bool:
    stamp = home / ".ready"
    return stamp.exists() and stamp.read_text() == _digest(text)


def _stamp(home: Path, text: str) -> None:
    (home / ".ready").write_text(_digest(text))
