"""What a database's desk answers: one function for each ask, from `control` alone.

The names are those of the OpenAPI document. A test asks server and database the same and compares.
"""

from mainspring.cli.desk.answers import events, fleet, jobs, keeping, work
from mainspring.cli.desk.answers.kept import ANSWERS

__all__ = ["ANSWERS", "events", "fleet", "jobs", "keeping", "work"]
