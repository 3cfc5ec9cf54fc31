"""The record: what the engine asks of a database.

A store runs *work*: a plain function of a `Tx`, executed as one atomic transaction. Each operation of the engine is
such a function, written once in ``moves`` and ``control``; adapters implement the small, batch-wide table methods
below and nothing of the state machine. ``work`` may run more than once (a deadlock, a lost connection), so it must
have no effect but on the ``Tx``; it runs outside the event loop and must not await.

Every method that takes a sequence is one statement whatever its length, and does nothing for an empty one.
"""

from mainspring.ports.store.database import Accompanied, Companion, Punctual, Store, TooEarlyError
from mainspring.ports.store.events import ChainTable, InboxTable, OutboxTable
from mainspring.ports.store.executions import Claimable, ExecutionQuery, ExecutionTable, LogTable
from mainspring.ports.store.fleet import NodeTable, PlatformTable
from mainspring.ports.store.history import Dropped, HistoryTable, KeptSince
from mainspring.ports.store.jobs import DecisionTable, JobTable
from mainspring.ports.store.lending import Filled, Handed, Lender, Lending, Vacancy
from mainspring.ports.store.letters import DeadLetterTable, LetterQuery
from mainspring.ports.store.outlook import Outlook
from mainspring.ports.store.rollups import RollupTable
from mainspring.ports.store.transaction import Rehearsing, Tx, Work
from mainspring.ports.store.webhooks import WebhookTable

__all__ = [
    "Accompanied",
    "ChainTable",
    "Claimable",
    "Companion",
    "DeadLetterTable",
    "DecisionTable",
    "Dropped",
    "ExecutionQuery",
    "ExecutionTable",
    "Filled",
    "Handed",
    "HistoryTable",
    "InboxTable",
    "JobTable",
    "KeptSince",
    "Lender",
    "Lending",
    "LetterQuery",
    "LogTable",
    "NodeTable",
    "OutboxTable",
    "Outlook",
    "PlatformTable",
    "Punctual",
    "Rehearsing",
    "RollupTable",
    "Store",
    "TooEarlyError",
    "Tx",
    "Vacancy",
    "WebhookTable",
    "Work",
]
