"""The tree of commands, by import string: a command's module is loaded when that command runs, and not for help."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from mainspring._version import __version__
from mainspring.cli.apart import apart
from mainspring.cli.exits import Exit, UsageError, code_of, error_to_wire
from mainspring.errors import MainspringError

if TYPE_CHECKING:
    from cyclopts import App

T = TypeVar("T")

_EXAMPLES = """\
  mainspring dev app.py                                       run an app: dispatcher and worker in one process
  mainspring preview "0 9 * * MON-FRI" --tz Europe/Istanbul   when a schedule will run
  mainspring explain daily_report --at 2026-11-24T09:00       why it did (not) run
  mainspring status                                           how it goes, on one screen"""

_OPTIONS = """\
  --db URL           the database, or the path of a SQLite file; by default as in `mainspring config`
  --server URL       a server to ask instead; --key KEY, or better MAINSPRING_API_KEY, says who asks
  --profile NAME     a server or a database by its name in `mainspring profiles`
  --platform NAME    the tenant; "default" unless set
  -o, --output WHAT  table, json, jsonl or yaml; data goes to stdout, messages to stderr
  -v, --verbose      show tracebacks of errors
  --help, --version"""

_EXIT_CODES = """\
  0 done                  5 conflict                      9 some of several failed
  1 failed                6 not allowed                  10 doctor found errors
  2 usage or bad input    7 database or server away      11 doctor --strict found warnings
  4 not found             8 a waited-for execution      130 interrupted (141: the reader left)
                            did not succeed"""

# Noun -> (aliases, help, {verb: (function, help)}).
_NOUNS = {
    "jobs": (
        ("job",),
        "Jobs: what runs, when, and how.",
        {
            "list": ("list_jobs", "List jobs by name, with their next run and last result."),
            "get": ("get_job", "Show one job whole."),
            "create": ("create_job", "Create a job from options or a file."),
            "update": ("update_job", "Change the fields named; the others stay."),
            "pause": ("pause_job", "Stop deciding a job's instants."),
            "resume": ("resume_job", "Decide a paused job again."),
            "trigger": ("trigger_job", "Run a job now, under its policies."),
            "archive": ("archive_job", "Retire a job; its history stays."),
            "stats": ("show_stats", "Show how a job went: outcomes, durations, delays."),
            "decisions": ("list_decisions", "Show what became of each due instant: the ledger."),
            "next": ("next_runs", "Show the instants its schedule names."),
            "skip": ("skip_next", "Pass over its next instant."),
            "backfill": ("backfill_job", "Run its past instants."),
            "revisions": ("list_revisions", "Show its definitions."),
            "revert": ("revert_job", "Let a former definition hold again."),
        },
    ),
    "executions": (
        ("runs", "execution"),
        "Executions: the work that jobs, triggers and enqueues made.",
        {
            "list": ("list_executions", "List executions, newest first."),
            "get": ("get_execution", "Show one execution with its attempts."),
            "logs": ("execution_logs", "Show an execution's log."),
            "cancel": ("cancel_execution", "Cancel an execution."),
            "retry": ("retry_execution", "Run an ended execution again, as a new one."),
        },
    ),
    "dead-letters": (
        ("dead",),
        "Dead letters: executions given up on, kept for a person.",
        {
            "list": ("list_dead_letters", "List dead letters, newest first."),
            "groups": ("group_dead_letters", "Show what is open by what went wrong."),
            "redrive": ("redrive", "Run dead letters again, as new executions."),
            "discard": ("discard", "Close dead letters without running them."),
        },
    ),
    "events": (
        ("event",),
        "Events: what starts event jobs.",
        {
            "list": ("list_events", "List accepted events, newest first."),
            "publish": ("publish_event", "Publish an event; it runs the jobs that match it."),
            "test": ("try_match", "Say whether an event would concern a job, and if not, why."),
        },
    ),
    "webhooks": (
        ("webhook",),
        "Webhooks: URLs that events are posted to, signed.",
        {
            "list": ("list_webhooks", "List webhooks and how they stand."),
            "create": ("create_webhook", "Subscribe a URL; the secret is shown once."),
            "delete": ("delete_webhook", "Unsubscribe."),
            "enable": ("enable_webhook", "Deliver again, to another URL if given."),
            "disable": ("disable_webhook", "Deliver nothing more for now."),
            "rotate": ("rotate_secret", "Give a webhook a new secret; both sign for a while."),
            "test": ("post_test", "Post a test event now and show the answer."),
            "deliveries": ("list_deliveries", "List what a webhook was owed and is."),
        },
    ),
    "operations": (
        ("operation", "ops"),
        "Operations: bulk actions and backfills on their way.",
        {
            "list": ("list_operations", "List operations, newest first."),
            "get": ("get_operation", "Show one, and how far it is."),
            "pause": ("pause_operation", "Do no further step for now."),
            "resume": ("resume_operation", "Go on."),
            "cancel": ("cancel_operation", "End it where it is."),
        },
    ),
    "handlers": (
        ("handler",),
        "Handlers: the code some node has announced.",
        {
            "list": ("fleet:list_handlers", "List handlers by name."),
            "get": ("fleet:get_handler", "Show one with its schema and defaults."),
        },
    ),
    "workers": ((), "Workers: the processes that run attempts.", {"list": ("fleet:list_workers", "List them.")}),
    "dispatchers": ((), "Dispatchers: the processes that decide.", {"list": ("fleet:list_dispatchers", "List them.")}),
    "queues": ((), "Queues: what waits and runs in them.", {"list": ("fleet:list_queues", "List them.")}),
    "limits": (
        ("limit",),
        "Limits: bounds on queues, concurrency keys and the platform.",
        {
            "list": ("fleet:list_limits", "List the bounds somebody has set."),
            "set": ("fleet:set_limit", "Set bounds, or take them away."),
        },
    ),
    "calendars": (
        ("calendar",),
        "Calendars: named sets of dates that schedules include or exclude.",
        {
            "list": ("fleet:list_calendars", "List calendars."),
            "get": ("fleet:get_calendar", "Show the dates of one."),
            "set": ("fleet:set_calendar", "Replace the dates of one."),
            "delete": ("fleet:delete_calendar", "Delete one that no job uses."),
        },
    ),
    "profiles": (
        ("profile",),
        "Profiles: servers and databases under names.",
        {
            "list": ("list_profiles", "List profiles."),
            "add": ("add_profile", "Keep a server or a database under a name."),
            "use": ("use_profile", "Ask there from now on."),
            "remove": ("remove_profile", "Forget one."),
        },
    ),
    "export": (
        (),
        "Export: the record as JSON lines, for audits. It only reads.",
        {
            "decisions": ("export_decisions", "Write the ledger."),
            "executions": ("export_executions", "Write every execution whole."),
            "attempts": ("export_attempts", "Write the kept attempts."),
            "transitions": ("export_transitions", "Write every move of every execution."),
        },
    ),
    "keys": (
        ("key",),
        "API keys: who may ask the server, and for what.",
        {
            "create": ("create_key", "Make a key and print its secret, this once."),
            "list": ("list_keys", "List keys, newest first."),
            "revoke": ("revoke_key", "End a key at once."),
            "rotate": ("rotate_key", "Give a key a new secret; the former one holds a while."),
        },
    ),
    "secrets": (
        (),
        "Secrets the record keeps: those that webhooks and callbacks are signed with.",
        {"reseal": ("reseal_secrets", "Seal them anew with the first of secret_keys.")},
    ),
}

# Group -> {command: (where, help)}.
_COMMANDS = {
    "Run it": {
        "dev": ("run:dev", "Run an app in this process, with a live view."),
        "worker": ("run:worker", "Run attempts only, in one process or several."),
        "dispatcher": ("run:dispatcher", "Decide, promote, reap and relay only."),
        "all": ("run:all_roles", "Run every role in this process; for small boxes."),
        "server": ("server:server", "Serve the REST API."),
    },
    "Understand": {
        "preview": ("preview:preview", "Show when a schedule will run; needs no database."),
        "explain": ("explain:explain", "Say why a job did (not) run, or where an execution stands."),
        "status": ("status:status", "Show how it goes, on one screen."),
        "watermark": ("figures:watermark", "Show up to when every due instant is decided."),
        "metrics": ("figures:metrics", "Print the fleet's metrics as Prometheus reads them."),
        "logs": ("logs:logs", "Show or follow the log of an execution, or of a job's newest."),
    },
    "Operate": {
        "doctor": ("doctor:doctor", "Check everything; each finding names the command that mends it."),
        "migrate": ("migrate:migrate", "Make or migrate the database's schema, and show its version."),
        "hold": ("hold:hold", "Hold the fleet: nothing new begins until it is released."),
        "release": ("hold:release", "Let a held fleet go on."),
        "audit": ("audit:audit", "List who changed what, newest first."),
        "usage": ("audit:usage", "Tell what the platform holds, beside what it may."),
        "config": ("config:config", "Show each setting with where it came from."),
        "completion": ("completion:completion", "Print a script that lets your shell complete commands."),
    },
}


def overview() -> str:
    """Return what ``mainspring --help`` prints: examples first, then every command."""
    parts = ["Mainspring runs jobs when they are due, once, and can always say what it did and why.", "", _EXAMPLES]
    for group, commands in _COMMANDS.items():
        parts += ["", group, *(f"  {name:<13} {text}" for name, (_, text) in commands.items())]
    parts += ["", "Look and change"]
    for noun, (aliases, text, verbs) in _NOUNS.items():
        told = f"{noun}, {aliases[0]}" if aliases and noun != "jobs" else noun
        parts += [f"  {told}", f"  {'':<13} {text}", f"  {'':<13} {' '.join(verbs)}"]
    parts += ["", "Options of every command, before or after it", _OPTIONS, "", "Exit codes", _EXIT_CODES, ""]
    parts += ["`mainspring COMMAND --help` tells the rest, and docs/reference/cli.md all of it."]
    return "\n".join(parts)


def tree() -> App:
    """Return the command tree, with nothing of it loaded."""
    from cyclopts import App

    app = App(
        name="mainspring",
        help=overview(),
        help_format="plaintext",
        help_epilogue="Exit codes: mainspring --help. All of it: docs/reference/cli.md",
        version=__version__,
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    for group, commands in _COMMANDS.items():
        for name, (where, _) in commands.items():
            app.command(f"mainspring.cli.{where}", name=name, group=group)
    for noun, (aliases, text, verbs) in _NOUNS.items():
        branch = App(name=noun, alias=aliases, help=text)
        for verb, (function, verb_help) in verbs.items():
            where = function if ":" in function else f"{noun.replace('-', '_')}:{function}"
            branch.command(f"mainspring.cli.{where}", name=verb, help=verb_help)
        app.command(branch)
    return app


#: Commands that go on until they are stopped. Each returns a call of plain values, which goes on.
_LASTING = frozenset(_COMMANDS["Run it"])


def run(arguments: Sequence[str], *, ours: bool = False) -> int:
    """Run one command line; return its exit code. Errors are printed, never raised.

    ``ours``: the process is there for this alone, and so may be forked.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a sign must not end the command
    words = hoisted(arguments)
    if [word for word in words if word not in ("-v", "--verbose")] in ([], ["--help"], ["-h"], ["help"]):
        print(overview())  # told without loading the parser
        return Exit.DONE

    def understood() -> Callable[[], int] | int:
        return _guarded(words, lambda: _parsed(words))

    meant = _guarded(words, lambda: apart(understood)) if ours and words[0] in _LASTING else understood()
    return meant if isinstance(meant, int) else _guarded(words, meant)


def _parsed(words: Sequence[str]) -> Callable[[], int] | int:
    """Run a command, or return the call that will; raises `UsageError` for words that are none."""
    from cyclopts import CycloptsError

    try:
        found: Callable[[], int] | int | None = tree()(words)
    except CycloptsError as error:
        chain = " ".join(["mainspring", *(error.command_chain or ())])
        raise UsageError(str(error), fix=f"See: {chain} --help") from error
    sys.stdout.flush()
    return Exit.DONE if found is None else found


def _guarded(words: Sequence[str], act: Callable[[], T]) -> T | int:
    """Return what ``act`` returns, or the exit code of what it raises, once that is printed."""
    try:
        return act()
    except MainspringError as error:
        return _refuse(words, error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left; the flush at exit would complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.PIPE_CLOSED
    except Exception as error:
        if _verbose(words):
            raise
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        print("This is a defect of Mainspring; -v shows the traceback.", file=sys.stderr)
        return Exit.FAILED


def hoisted(arguments: Sequence[str]) -> list[str]:
    """Move options of every command from before the command to after it, where the parser expects them.

    >>> hoisted(["--db", "a.db", "-o", "json", "jobs", "list", "--limit", "5"])
    ['jobs', 'list', '--limit', '5', '--db', 'a.db', '-o', 'json']
    """
    words, front = list(arguments), []
    while words and words[0].startswith("-"):
        name, _, inline = words[0].partition("=")
        if name in ("-v", "--verbose"):
            front.append(words.pop(0))
        elif name in ("--server", "--key", "--profile", "--db", "--platform", "-o", "--output"):
            width = 1 if inline else 2
            front += words[:width]
            del words[:width]
        else:
            break
    if "--" in words:
        cut = words.index("--")
        return [*words[:cut], *front, *words[cut:]]
    return [*words, *front]


def _refuse(words: Sequence[str], error: MainspringError) -> int:
    if _verbose(words):
        import traceback

        traceback.print_exception(error)
    output = _output(words)
    if output == "yaml":
        from mainspring.cli.output import print_yaml

        print_yaml({"error": error_to_wire(error)})
    elif output in ("json", "jsonl"):
        import json

        print(json.dumps({"error": error_to_wire(error)}, ensure_ascii=False))
    else:
        fix = getattr(error, "fix", None)
        text = str(error)
        print(f"error: {text}", file=sys.stderr)
        if fix and fix not in text:
            print(f"  {fix}", file=sys.stderr)
    return code_of(error)


def _output(words: Sequence[str]) -> str:
    """Return how the answer was to be printed; "table" where nothing is said."""
    for index, word in enumerate(words):
        name, inline, value = word.partition("=")
        if name in ("-o", "--output"):
            return value if inline else next(iter(words[index + 1 : index + 2]), "")
    return "table"


def _verbose(words: Sequence[str]) -> bool:
    return any(word in ("-v", "--verbose") for word in words)
