"""The methods of the clients: each names an ask, or a conversation, and gets its arguments, types and docs from it.

Written once for both: the driver a noun holds decides whether a method returns its answer or an awaitable of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from mainspring.client import asks, watching
from mainspring.client.ask import Ask
from mainspring.client.drivers import Awaiting, Blocking
from mainspring.client.exchange import Caller, Steps
from mainspring.client.shape import Page
from mainspring.client.watching import Following, Now

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D", Blocking, Awaiting)


class Noun(Generic[D]):
    """A kind of thing a platform has, asked through a driver."""

    def __init__(self, driver: D) -> None:
        self._driver: D = driver


class Sent(Generic[P, T]):
    """A method that is one ask and its answer."""

    def __init__(self, build: Callable[P, Ask[T]]) -> None:
        self._build, self.__doc__ = build, build.__doc__

    @overload
    def __get__(self, noun: Noun[Blocking], kind: Any) -> Callable[P, T]: ...
    @overload
    def __get__(self, noun: Noun[Awaiting], kind: Any) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, noun: Any, kind: Any) -> Any:
        build = self._build
        return _bound(noun, build, lambda driver, *args, **named: driver.run(driver.caller.ask(build(*args, **named))))


class Listed(Generic[P, T]):
    """A method that yields the rows of a list, page after page, as they are read."""

    def __init__(self, build: Callable[P, Ask[Page[T]]]) -> None:
        self._build, self.__doc__ = build, build.__doc__

    @overload
    def __get__(self, noun: Noun[Blocking], kind: Any) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, noun: Noun[Awaiting], kind: Any) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, noun: Any, kind: Any) -> Any:
        build = self._build
        return _bound(noun, build, lambda driver, *args, **named: driver.pages(build(*args, **named)))


class Talked(Generic[P, T]):
    """A method that is a conversation of several asks."""

    def __init__(self, talk: Callable[Concatenate[Caller, Now, P], Steps[T]]) -> None:
        self._talk, self.__doc__ = talk, talk.__doc__

    @overload
    def __get__(self, noun: Noun[Blocking], kind: Any) -> Callable[P, T]: ...
    @overload
    def __get__(self, noun: Noun[Awaiting], kind: Any) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, noun: Any, kind: Any) -> Any:
        talk = self._talk

        def call(driver: Any, *args: Any, **named: Any) -> Any:
            return driver.run(talk(driver.caller, driver.now, *args, **named))

        return _bound(noun, talk, call)


class Followed(Generic[P, T]):
    """A method that follows a stream."""

    def __init__(self, begin: Callable[Concatenate[Caller, P], Following[T]]) -> None:
        self._begin, self.__doc__ = begin, begin.__doc__

    @overload
    def __get__(self, noun: Noun[Blocking], kind: Any) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, noun: Noun[Awaiting], kind: Any) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, noun: Any, kind: Any) -> Any:
        begin = self._begin

        def call(driver: Any, *args: Any, **named: Any) -> Any:
            return driver.follow(begin(driver.caller, *args, **named))

        return _bound(noun, begin, call)


class Lined(Generic[P, T]):
    """A method that yields the rows of an answer of any length, as they come."""

    def __init__(self, build: Callable[P, Ask[T]]) -> None:
        self._build, self.__doc__ = build, build.__doc__

    @overload
    def __get__(self, noun: Noun[Blocking], kind: Any) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, noun: Noun[Awaiting], kind: Any) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, noun: Any, kind: Any) -> Any:
        build = self._build
        return _bound(noun, build, lambda driver, *args, **named: driver.lines(build(*args, **named)))


def _bound(noun: Any, told: Callable[..., Any], call: Callable[..., Any]) -> Any:
    if noun is None:
        return told  # on the class: what it asks

    @wraps(told)
    def method(*args: Any, **named: Any) -> Any:
        return call(noun._driver, *args, **named)

    return method


# -- the nouns ---------------------------------------------------------------------------------------------------


class Jobs(Noun[D]):
    """Jobs: what runs, when, and how. A job is named by its name or its id."""

    list = Listed(asks.list_jobs)
    page = Sent(asks.list_jobs)
    get = Sent(asks.get_job)
    create = Sent(asks.create_job)
    put = Sent(asks.put_job)
    update = Sent(asks.update_job)
    archive = Sent(asks.archive_job)
    pause = Sent(asks.pause_job)
    resume = Sent(asks.resume_job)
    trigger = Sent(asks.trigger_job)
    skip = Sent(asks.skip_occurrence)
    backfill = Sent(asks.backfill_job)
    revert = Sent(asks.revert_job)
    revisions = Sent(asks.list_revisions)
    next = Sent(asks.next_runs)
    decisions = Listed(asks.list_occurrences)
    decisions_page = Sent(asks.list_occurrences)
    executions = Listed(asks.list_job_executions)
    executions_page = Sent(asks.list_job_executions)
    stats = Sent(asks.get_stats)
    heatmap = Sent(asks.get_heatmap)
    explain = Sent(asks.explain)
    bulk = Sent(asks.bulk_jobs)


class Executions(Noun[D]):
    """Executions: the work that jobs, triggers and enqueues made."""

    list = Listed(asks.list_executions)
    page = Sent(asks.list_executions)
    get = Sent(asks.get_execution)
    enqueue = Sent(asks.enqueue)
    enqueue_many = Sent(asks.enqueue_many)
    wait = Talked(watching.wait)
    wait_once = Sent(asks.wait_for_execution)
    result = Talked(watching.result)
    attempts = Sent(asks.list_attempts)
    logs = Sent(asks.get_logs)
    follow_logs = Followed(watching.follow_logs)
    explain = Sent(asks.explain_an_execution)
    cancel = Sent(asks.cancel_execution)
    retry = Sent(asks.retry_execution)
    redrive = Sent(asks.redrive_execution)
    callback = Sent(asks.get_callback)
    bulk = Sent(asks.bulk_executions)


class DeadLetters(Noun[D]):
    """Dead letters: executions given up on, kept for a person."""

    list = Listed(asks.list_dead_letters)
    page = Sent(asks.list_dead_letters)
    get = Sent(asks.get_dead_letter)
    groups = Sent(asks.group_dead_letters)
    redrive = Sent(asks.redrive_dead_letter)
    discard = Sent(asks.discard_dead_letter)
    bulk = Sent(asks.bulk_dead_letters)


class Events(Noun[D]):
    """Events: what starts event jobs; and the stream of what happens."""

    list = Listed(asks.list_events)
    page = Sent(asks.list_events)
    get = Sent(asks.get_event)
    publish = Sent(asks.publish_event)
    test = Sent(asks.test_match)
    follow = Followed(watching.follow_events)


class Operations(Noun[D]):
    """Operations: what bulk actions and backfills are done as."""

    list = Listed(asks.list_operations)
    page = Sent(asks.list_operations)
    get = Sent(asks.get_operation)
    wait = Talked(watching.wait_operation)
    pause = Sent(asks.pause_operation)
    resume = Sent(asks.resume_operation)
    cancel = Sent(asks.cancel_operation)


class Fleet(Noun[D]):
    """What runs the work: handlers, workers, dispatchers and queues; and how it goes, in numbers."""

    handlers = Sent(asks.list_handlers)
    handler = Sent(asks.get_handler)
    workers = Sent(asks.list_workers)
    dispatchers = Sent(asks.list_dispatchers)
    queues = Sent(asks.list_queues)
    overview = Sent(asks.get_overview)
    doctor = Sent(asks.get_findings)
    watermark = Sent(asks.get_watermark)
    metrics = Sent(asks.get_metrics)
    health = Sent(asks.health_check)
    timeseries = Sent(asks.get_timeseries)


class Limits(Noun[D]):
    """Limits: bounds on queues, concurrency keys and the platform."""

    list = Sent(asks.list_limits)
    put = Sent(asks.put_limit)
    put_platform = Sent(asks.put_platform_limit)


class Calendars(Noun[D]):
    """Calendars: named sets of dates."""

    list = Sent(asks.list_calendars)
    get = Sent(asks.get_calendar)
    put = Sent(asks.put_calendar)
    delete = Sent(asks.delete_calendar)


class Schedules(Noun[D]):
    """Schedules to try; nothing is stored."""

    preview = Sent(asks.preview_schedule)


class Webhooks(Noun[D]):
    """Webhooks: URLs that events are posted to, signed; secrets are answered once, by ``create`` and ``rotate``."""

    list = Sent(asks.list_webhooks)
    get = Sent(asks.get_webhook)
    create = Sent(asks.create_webhook)
    update = Sent(asks.update_webhook)
    delete = Sent(asks.delete_webhook)
    enable = Sent(asks.enable_webhook)
    disable = Sent(asks.disable_webhook)
    rotate = Sent(asks.rotate_webhook_secret)
    test = Sent(asks.post_test_event)
    deliveries = Listed(asks.list_deliveries)
    deliveries_page = Sent(asks.list_deliveries)
    delivery = Sent(asks.get_delivery)
    redeliver = Sent(asks.redeliver)


class Keys(Noun[D]):
    """API keys; secrets are answered once, by ``create`` and ``rotate``."""

    list = Listed(asks.list_keys)
    page = Sent(asks.list_keys)
    get = Sent(asks.get_key)
    create = Sent(asks.create_key)
    rotate = Sent(asks.rotate_key)
    revoke = Sent(asks.revoke_key)


class Platforms(Noun[D]):
    """Platforms, and what this one holds."""

    list = Sent(asks.list_platforms)
    get = Sent(asks.get_platform)
    create = Sent(asks.create_platform)
    update = Sent(asks.update_platform)
    usage = Sent(asks.get_usage)


class Audit(Noun[D]):
    """The audit trail, who changed what; and the record whole, for audits from outside."""

    list = Listed(asks.list_audit)
    page = Sent(asks.list_audit)
    export = Lined(watching.export_record)


class Service(Noun[D]):
    """The server itself: who asks, and what it is."""

    me = Sent(asks.get_me)
    meta = Sent(asks.get_meta)
