"""`completion`: a script that lets the shell complete commands and options."""

from __future__ import annotations

from typing import Literal


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print a script for the shell; what it says about installing it stands at its top.

    For example: mainspring completion bash > ~/.local/share/bash-completion/completions/mainspring

    Args:
        shell: Which shell.
    """
    from mainspring.cli.commands import tree

    print(tree().generate_completion(prog_name="mainspring", shell=shell))
