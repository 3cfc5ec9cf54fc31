"""`profiles`: servers and databases under names, in a file of the user's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from cyclopts import Parameter

from mainspring.cli.exits import UsageError
from mainspring.cli.job_fields import read_text
from mainspring.cli.output import print_lines, print_one, print_whole, say, table
from mainspring.cli.target import Target
from mainspring.profiles import (
    Profile,
    Profiles,
    profiles_path,
    read_profiles,
    with_profile,
    without_profile,
    write_profiles,
)

Flag = Annotated[bool, Parameter(negative="", show_default=False)]
FromFile = Annotated[str | None, Parameter(allow_leading_hyphen=True)]


def add_profile(name: str, /, *, key_file: FromFile = None, use: Flag = False, target: Target | None = None) -> None:
    """Keep a server or a database under a name: --server URL or --db URL, and --platform and --key with it.

    For example: mainspring profiles add prod --server https://jobs.example.com --platform acme --key-file -

    Args:
        name: The name; one there is already is replaced.
        key_file: A file with the key, instead of --key; - reads stdin.
        use: Make it the one in use as well.
    """
    target = target or Target()
    key = read_text(key_file, "--key-file").strip() if key_file is not None else target.key
    if key is not None and target.server is None:
        raise UsageError("a key goes with a server", fix="Give --server URL")
    profile = Profile(name, server=target.server, db=target.db, platform=target.platform, key=key)
    profiles = with_profile(read_profiles(), profile)
    profiles = replace(profiles, current=name) if use else profiles
    path = write_profiles(profiles)
    print_one(target.output, _wire(profile, profiles), f"{name} is kept in {path}")


def list_profiles(*, target: Target | None = None) -> None:
    """List profiles; never their keys."""
    target = target or Target()
    profiles = read_profiles()
    wires = [_wire(profiles.by_name[name], profiles) for name in sorted(profiles.by_name)]
    if target.whole:
        print_whole(target.output, {"data": wires})
    elif target.output == "jsonl":
        print_lines(wires)
    elif wires:
        rows = [
            [w["name"], w["server"] or w["db"], w["platform"], w["key"], "in use" if w["in_use"] else ""] for w in wires
        ]
        print(table(["PROFILE", "WHERE", "PLATFORM", "KEY", ""], rows))
    else:
        say(f"No profiles in {profiles_path()}. Make one with: mainspring profiles add NAME --server URL")


def use_profile(name: str | None = None, /, *, target: Target | None = None) -> None:
    """Ask there from now on, where nothing nearer says otherwise. Without a name: no profile is in use any more.

    Args:
        name: The profile's name.
    """
    target = target or Target()
    profiles = read_profiles()
    if name is not None:
        profiles.named(name)
    write_profiles(replace(profiles, current=name))
    print_one(target.output, {"current": name}, f"{name} is in use" if name else "no profile is in use")


def remove_profile(name: str, /, *, target: Target | None = None) -> None:
    """Forget a profile, and its key with it.

    Args:
        name: The profile's name.
    """
    target = target or Target()
    write_profiles(without_profile(read_profiles(), name))
    print_one(target.output, {"name": name, "removed": True}, f"{name} is removed")


def _wire(profile: Profile, profiles: Profiles) -> dict[str, Any]:
    from mainspring.cli.urls import masked

    key = f"{profile.key[:8]}…" if profile.key else None
    return {
        "name": profile.name,
        "server": profile.server,
        "db": masked(profile.db),
        "platform": profile.platform,
        "key": key,
        "in_use": profiles.current == profile.name,
    }
