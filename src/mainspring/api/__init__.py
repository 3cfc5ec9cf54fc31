"""The REST API: thin routes over ``control``. Needs the extra ``server``.

>>> from mainspring import Mainspring
>>> from mainspring.api import create_app
>>> create_app(Mainspring("sqlite:///jobs.db")).title
'Mainspring'
"""

from mainspring.api.app import ApiSettings, create_app

__all__ = ["ApiSettings", "create_app"]
