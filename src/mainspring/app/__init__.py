"""The composition root: settings in, wired engine out; the `Mainspring` class and its decorators."""

from mainspring.app.handle import Handle, Run
from mainspring.app.mainspring import Mainspring

__all__ = ["Handle", "Mainspring", "Run"]
