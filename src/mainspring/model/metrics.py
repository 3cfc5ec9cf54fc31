"""Every metric there is: its name, kind, labels and meaning. Scrapes, documents, dashboards and alerts are held to it.

Labels are few and bounded, and none of them names a tenant, a job, a host or an error: `queue` and `handler` are names
that code and settings gave (a tenant's own are `other`, or left out), and no more than `LABEL_VALUES` of each are told
apart. What concerns one platform or job is asked of the API, which knows who asks.

Sources: ``fleet`` figures are read from the database, the same whoever tells them (servers and dispatchers), so take
their maximum over instances; ``process`` figures are a process's own, so add them up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PREFIX = "mainspring_"
#: Values of the labels ``queue`` and ``handler`` that are told apart.
LABEL_VALUES = 200
OTHER = "other"

#: Upper bounds of buckets, in seconds.
DELAYS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
DURATIONS = (0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
REQUESTS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. ``kind``: gauge, counter or histogram, whose bucket bounds are ``buckets``."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    source: str = "process"
    buckets: tuple[float, ...] = ()

    @property
    def full_name(self) -> str:
        """Its name on the wire."""
        return PREFIX + self.name


@dataclass(frozen=True, slots=True)
class Figure:
    """One value of a metric under its labels' values, in their order.

    Of a histogram ``value`` is the sum in seconds and ``buckets`` how many were at most each bound, the last one all.
    """

    metric: Metric
    labels: tuple[str, ...] = ()
    value: float = 0.0
    buckets: tuple[int, ...] = ()


def _fleet(name: str, kind: str, help: str, *labels: str, buckets: Sequence[float] = ()) -> Metric:
    return Metric(name, kind, help, labels, "fleet", tuple(buckets))


def _process(name: str, kind: str, help: str, *labels: str, buckets: Sequence[float] = ()) -> Metric:
    return Metric(name, kind, help, labels, "process", tuple(buckets))


_WORK = ("queue", "handler")

# -- of the fleet ------------------------------------------------------------------------------------------------

DECIDED_UP_TO = _fleet("decided_up_to_timestamp_seconds", "gauge", "Every instant due before this has a decision.")
DECISION_LAG = _fleet("decision_lag_seconds", "gauge", "How long the oldest due instant has waited for its decision.")
QUEUE_OLDEST_AGE = _fleet(
    "queue_oldest_age_seconds", "gauge", "How long the oldest unclaimed execution of a queue has been queued.", "queue"
)
QUEUE_DEPTH = _fleet("queue_depth", "gauge", "Executions queued and not claimed, counted up to 100,000.", "queue")
QUEUE_SLOTS = _fleet("queue_slots", "gauge", "Slots that live workers offer.", "queue")
EXECUTIONS = _fleet("executions", "gauge", "Executions that have not ended, by status.", "status")
FINISHED = _fleet("executions_finished_total", "counter", "Executions that ended, by outcome.", *_WORK, "outcome")
RETRIED = _fleet("attempts_retried_total", "counter", "Attempts that failed and are followed by another.", *_WORK)
DEAD_LETTERED = _fleet("dead_lettered_total", "counter", "Executions given up on, kept as dead letters.", *_WORK)
SKIPPED = _fleet("occurrences_skipped_total", "counter", "Due instants decided not to run, by decision.", "decision")
START_DELAY = _fleet(
    "start_delay_seconds",
    "histogram",
    "From when an execution could have started until its first attempt did.",
    "queue",
    buckets=DELAYS,
)
DURATION = _fleet(
    "execution_duration_seconds",
    "histogram",
    "How long the last attempts of successful and failed executions took.",
    "handler",
    buckets=DURATIONS,
)
OUTBOX_LAG = _fleet("outbox_lag_seconds", "gauge", "How long the oldest event has waited to be published.")
WORKERS = _fleet("workers", "gauge", "Worker processes seen within 15 seconds, by status.", "status")
DISPATCHERS = _fleet("dispatchers", "gauge", "Dispatcher processes seen within 15 seconds, by status.", "status")
TRANSPORT_UP = _fleet("transport_up", "gauge", "1 while the transport's server answers or it has none, else 0.")
TRANSPORT_ENTRIES = _fleet(
    "transport_entries", "gauge", "Entries in the streams of all queues: all of them, pending, and unread.", "state"
)
HELD = _fleet("fleet_held", "gauge", "1 while the fleet is held and begins nothing, else 0.")

# -- of a process ------------------------------------------------------------------------------------------------

BUILD = _process("build_info", "gauge", "Always 1; the labels say what runs here.", "version", "tzdb_version")
FLEET_UP = _process("fleet_figures_up", "gauge", "1 if the fleet's figures could be read for this scrape, else 0.")
DECISIONS = _process(
    "decisions_total", "counter", "Decisions on due instants made by this dispatcher, by decision.", "decision"
)
DECIDING_FAILED = _process("deciding_failed_total", "counter", "Jobs set aside because deciding them failed.")
REAPED = _process(
    "reaped_total", "counter", "Executions taken back: lease lost, deadline overdue, start expired.", "reason"
)
LOOP_ERRORS = _process("loop_errors_total", "counter", "Steps of the dispatcher's loops that failed.", "loop")
CLAIMED = _process("executions_claimed_total", "counter", "Executions claimed by this worker.")
SETTLED = _process("attempts_settled_total", "counter", "Attempts whose end was recorded by this worker.")
FENCED = _process("fences_refused_total", "counter", "Results refused because the lease was another's by then.")
SLOTS = _process("worker_slots", "gauge", "Slots of this worker: busy, free, or poisoned.", "state")
CHILDREN = _process("child_processes", "gauge", "Child processes of this worker: busy or idle.", "state")
CHILDREN_STARTED = _process("child_processes_started_total", "counter", "Child processes this worker has started.")
TRANSPORT = _process("transport_total", "counter", "What the Redis transport did here, in executions.", "what")
DB_CONNECTIONS = _process("db_connections", "gauge", "Database connections of this process.", "state")
DB_WAITING = _process("db_calls_waiting", "gauge", "Calls that wait for a database connection.")
API_REQUESTS = _process("api_requests_total", "counter", "Requests answered.", "method", "route", "status")
API_DURATION = _process(
    "api_request_duration_seconds", "histogram", "How long requests took, streams left out.", "method", buckets=REQUESTS
)
STREAMS = _process("api_streams", "gauge", "Streams of server-sent events open.")

METRICS: Mapping[str, Metric] = {
    metric.full_name: metric for metric in list(globals().values()) if isinstance(metric, Metric)
}


@dataclass
class Timer:
    """Durations of this process, counted as they happen. Not safe between threads: an event loop's own."""

    buckets: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        """Start from nothing, with one more bucket for what is longer."""
        self.counts = [0] * (len(self.buckets) + 1)

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        place = next((n for n, bound in enumerate(self.buckets) if seconds <= bound), len(self.buckets))
        self.counts[place] += 1
        self.total += seconds

    def figure(self, metric: Metric, *labels: str) -> Figure:
        """Return what was counted so far."""
        seen, so_far = [], 0
        for count in self.counts:
            so_far += count
            seen.append(so_far)
        return Figure(metric, labels, self.total, tuple(seen))
