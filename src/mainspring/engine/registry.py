"""Handler name -> handler: what code registers, with its defaults and the payload schema read from its signature.

Functions are found here by name and nowhere else: no name from data is ever imported.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

from mainspring.engine.context import Context
from mainspring.errors import ConflictError, NotFoundError, ValidationError
from mainspring.model.durations import duration
from mainspring.model.events import Event
from mainspring.model.execution import Execution
from mainspring.model.policy import Isolation, RetryPolicy
from mainspring.model.wire import (
    HANDLER_TYPES,
    check_policies,
    handler_name,
    milliseconds,
    retry_from_wire,
    retry_to_wire,
)

_INJECTED = (Context, Event, Execution)
_PLAIN = (bool, int, str)


@dataclass(frozen=True)
class Handler:
    """Registered code with its defaults. ``platform_id`` None: every platform may use it."""

    name: str
    fn: Callable[..., Any]
    type: str = "function"
    description: str = ""
    timeout: timedelta = timedelta(minutes=5)
    retry: RetryPolicy = RetryPolicy()
    queue: str = "default"
    priority: int = 5
    isolation: Isolation = Isolation.THREAD
    platform_id: str | None = None
    named: frozenset[str] = field(default_factory=frozenset)

    @cached_property
    def signature(self) -> Signature:
        """The arguments of the function, read on first use."""
        return Signature(self.name, self.fn)

    @cached_property
    def is_coroutine(self) -> bool:
        """Whether the function is a coroutine function, and so can run in the event loop."""
        return inspect.iscoroutinefunction(self.fn)

    @property
    def defaults(self) -> dict[str, Any]:
        """The handler's defaults in wire shape, for jobs and enqueues that do not say otherwise."""
        return {
            "timeout_ms": milliseconds(self.timeout),
            "retry": retry_to_wire(self.retry),
            "queue": self.queue,
            "priority": self.priority,
            "isolation": self.isolation.value,
        }


class Signature:
    """A function's arguments as a payload: binding, checking, and the JSON Schema. Uses Pydantic, on first use."""

    def __init__(self, name: str, fn: Callable[..., Any]) -> None:
        self.name = name
        try:
            hints = typing.get_type_hints(fn, include_extras=True)
        except (NameError, TypeError) as error:
            fix = "Import what they name at the top of the module"
            problem = f"its annotations cannot be read: {error}"
            raise ValidationError(problem, field=f"handler {name}", fix=fix) from error
        self._returns = hints.pop("return", Any)
        self.injected: dict[str, type] = {}
        fields: dict[str, tuple[Any, Any]] = {}
        self._extra = False
        for parameter in inspect.signature(fn).parameters.values():
            hint = hints.get(parameter.name, Any)
            if hint in _INJECTED:
                self.injected[parameter.name] = hint
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
                self._extra = True
            elif parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY):
                fix = "Give every parameter a name of its own"
                raise ValidationError(
                    f"parameter {parameter} cannot come from a payload", field=f"handler {name}", fix=fix
                )
            else:
                fields[parameter.name] = (hint, parameter.default)
        self._fields = fields
        self._bindable = inspect.Signature(
            [p for p in inspect.signature(fn).parameters.values() if p.name not in self.injected]
        )
        self._required = {name for name, (_, default) in fields.items() if default is inspect.Parameter.empty}

    @cached_property
    def _adapter(self) -> Any:
        from typing import NotRequired

        import pydantic
        from typing_extensions import TypedDict

        shape = {
            name: hint if default is inspect.Parameter.empty else NotRequired[hint]
            for name, (hint, default) in self._fields.items()
        }
        make: Any = TypedDict  # called, not declared: the fields are known only now
        payload = make("payload", shape)
        payload.__pydantic_config__ = pydantic.ConfigDict(extra="allow" if self._extra else "forbid")
        try:
            return pydantic.TypeAdapter(payload)
        except Exception as error:
            problem = f"its parameters cannot be stored as JSON: {error}"
            raise ValidationError(problem, field=f"handler {self.name}") from error

    @cached_property
    def _result(self) -> Any:
        import pydantic

        return None if self._returns in (Any, None, type(None)) else pydantic.TypeAdapter(self._returns)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the payload of a call, as plain JSON data. Raises `ValidationError` with the path of what is wrong."""
        named = not args and self._required <= kwargs.keys() <= self._fields.keys()
        return self._dump(self._checked(kwargs if named else self._bound(args, kwargs)))

    def _bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        try:
            bound = self._bindable.bind(*args, **kwargs)
        except TypeError as error:
            raise ValidationError(f"{error}", field=f"{self.name}()") from None
        arguments = dict(bound.arguments)
        for parameter in self._bindable.parameters.values():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                arguments.update(arguments.pop(parameter.name, {}))
        return arguments

    def normalise(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return a payload given as data, checked and as plain JSON data. Raises `ValidationError`."""
        return self._dump(self._checked(payload))

    def arguments(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keyword arguments a stored payload stands for. Raises `ValidationError`."""
        if not payload and not self._fields:
            return {}
        return self._checked(payload)

    def result(self, value: Any) -> Any:
        """Return a handler's return value as plain JSON data. Raises `ValidationError` for what is none."""
        if value is None or isinstance(value, _PLAIN):
            return value
        import pydantic
        import pydantic_core

        try:
            if self._result is not None:
                return self._result.dump_python(value, mode="json", warnings="none")
            return pydantic_core.to_jsonable_python(value)
        except (pydantic_core.PydanticSerializationError, pydantic.ValidationError, ValueError) as error:
            raise ValidationError(f"is not JSON data: {error}", field="result") from error

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the payload, with the function's defaults."""
        schema: dict[str, Any] = self._adapter.json_schema()
        schema["title"] = self.name
        for name, (_, default) in self._fields.items():
            if isinstance(default, str | int | float | bool) or default is None:
                schema.get("properties", {}).get(name, {}).setdefault("default", default)
        return schema

    @cached_property
    def _validate(self) -> Any:
        """The adapter's own validator, without what the adapter does around it."""
        return self._adapter.validator.validate_python

    def _checked(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        try:
            checked: dict[str, Any] = self._validate(dict(payload), strict=True)
            return checked
        except ValueError as error:  # as Pydantic's is: to import that takes longer than to check
            refused = error
        return self._checked_again(dict(payload), refused)

    def _checked_again(self, given: dict[str, Any], refused: ValueError) -> dict[str, Any]:
        import pydantic

        if not isinstance(refused, pydantic.ValidationError):
            raise refused
        mistakes = [one for one in refused.errors(include_url=False) if _mistaken(one)]
        if mistakes:
            raise self._refusal(mistakes[0])
        try:
            # JSON has no dates, tuples or models: those may be told in other words.
            return dict(self._adapter.validate_python(given))
        except pydantic.ValidationError as error:
            raise self._refusal(error.errors(include_url=False)[0]) from None

    def _refusal(self, error: Mapping[str, Any]) -> ValidationError:
        path = ".".join(str(part) for part in error["loc"])
        if error["type"] == "extra_forbidden":
            return ValidationError("unknown argument", field=path, fix=f"Known: {', '.join(self._fields) or 'none'}")
        message = f"{error['msg'].lower()}, got {str(error.get('input'))[:60]!r}"
        if error["type"] == "missing":
            message = "is missing"
        return ValidationError(message, field=f"{self.name}.{path}")

    def _dump(self, checked: Mapping[str, Any]) -> dict[str, Any]:
        dumped: dict[str, Any] = self._adapter.dump_python(checked, mode="json", warnings="none")
        return dumped


def _mistaken(error: Mapping[str, Any]) -> bool:
    """Whether a strict error is a plain value of the wrong kind, such as a number in quotes.

    Alternatives (`int | date`) fail once each, under a path that names them: one of them may still fit.
    """
    given = error.get("input")
    if error["type"] not in ("int_type", "float_type", "bool_type", "string_type") or not all(
        isinstance(step, int) for step in error["loc"][1:]
    ):
        return False
    return not (error["type"] == "int_type" and isinstance(given, float) and given.is_integer())


class JobHandlerRegistry:
    """The handlers of one process."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def register_handler(
        self,
        name: str,
        fn: Callable[..., Any],
        *,
        type: str = "function",
        description: str | None = None,
        timeout: timedelta | str | None = None,
        retry: RetryPolicy | Mapping[str, Any] | int | None = None,
        queue: str | None = None,
        priority: int | None = None,
        isolation: str | None = None,
        platform_id: str | None = None,
    ) -> Handler:
        """Register ``fn`` under ``name``; what is given here becomes the handler's defaults.

        Raises `ValidationError` for unusable options or a function whose parameters no payload can fill, and
        `ConflictError` if the name stands for another function.

        >>> registry = JobHandlerRegistry()
        >>> registry.register_handler("hello", lambda: print("hi")).isolation
        <Isolation.THREAD: 'thread'>
        """
        handler_name(name, "handler")
        if type not in HANDLER_TYPES:
            raise ValidationError(f"{type!r} is not one of: {', '.join(HANDLER_TYPES)}", field="handler_type")
        known = self._handlers.get(name)
        if known is not None and not _same(known.fn, fn):
            raise ConflictError(f"handler {name!r} is registered already, by {_where(known.fn)}")
        given = {"timeout": timeout, "retry": retry, "queue": queue, "priority": priority, "isolation": isolation}
        handler = Handler(
            name,
            fn,
            type=type,
            description=description if description is not None else (inspect.getdoc(fn) or "").split("\n")[0],
            timeout=duration(timeout, "timeout") if timeout is not None else timedelta(minutes=5),
            retry=as_retry(retry) if retry is not None else RetryPolicy(),
            queue=queue or "default",
            priority=5 if priority is None else priority,
            isolation=_isolation(name, fn, isolation),
            platform_id=platform_id,
            named=frozenset(key for key, value in given.items() if value is not None),
        )
        check_policies(handler.defaults)
        self._handlers[name] = handler
        return handler

    def resolve_handler(self, name: str, platform_id: str | None = None) -> Handler:
        """Return the handler of a name, for a platform; raises `NotFoundError`."""
        handler = self._handlers.get(name)
        if handler is None or (handler.platform_id is not None and platform_id not in (None, handler.platform_id)):
            raise NotFoundError("handler", name)
        return handler

    def has_handler(self, name: str) -> bool:
        """Tell whether a name is registered."""
        return name in self._handlers

    def list_handlers(self, type: str | None = None) -> list[Handler]:
        """Return the handlers, by name."""
        return [h for _, h in sorted(self._handlers.items()) if type is None or h.type == type]

    def get_handler_info(self, name: str) -> dict[str, Any]:
        """Return what is known of a handler as plain data: type, description, schema, defaults. `NotFoundError`."""
        handler = self.resolve_handler(name)
        return {
            "name": handler.name,
            "handler_type": handler.type,
            "description": handler.description,
            "platform_id": handler.platform_id,
            "schema": handler.signature.schema,
            **handler.defaults,
        }


def as_retry(retry: RetryPolicy | Mapping[str, Any] | int) -> RetryPolicy:
    """Read a retry policy the way Python callers write it: a policy, its wire shape, or the number of retries.

    >>> as_retry(3).max_retries
    3
    """
    if isinstance(retry, RetryPolicy):
        return retry
    if isinstance(retry, Mapping):
        return retry_from_wire(retry)
    return retry_from_wire({"max_retries": retry})


def _isolation(name: str, fn: Callable[..., Any], wanted: str | None) -> Isolation:
    is_async = inspect.iscoroutinefunction(fn)
    if wanted is None:
        return Isolation.ASYNC if is_async else Isolation.THREAD
    try:
        isolation = Isolation(wanted)
    except ValueError:
        raise ValidationError(f"{wanted!r} is not one of: {', '.join(Isolation)}", field="isolation") from None
    if isolation is Isolation.ASYNC and not is_async:
        fix = "Write `async def`, or use isolation='thread'"
        raise ValidationError(f"handler {name!r} is a plain function", field="isolation", fix=fix)
    if isolation is Isolation.THREAD and is_async:
        fix = "Use isolation='async' or 'process'"
        raise ValidationError(f"handler {name!r} is a coroutine function", field="isolation", fix=fix)
    return isolation


def _same(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether two functions are the same code, so that importing a module twice is no conflict."""
    return one is other or _where(one) == _where(other)


def _where(fn: Callable[..., Any]) -> str:
    code = getattr(fn, "__code__", None)
    return f"{fn.__module__}.{getattr(fn, '__qualname__', fn)}" + (f" line {code.co_firstlineno}" if code else "")
