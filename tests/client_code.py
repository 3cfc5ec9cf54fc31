"""The parts of the Python client that are made from the OpenAPI document: its shapes and its asks.

`./dev openapi` writes them, after the document; a test compares.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

CLIENT = Path(__file__).parents[1] / "src" / "mainspring" / "client"
BASE = "/api/v1/platforms/{platform_id}"
#: Where the words of the wire are at home.
WORDS = ("access", "admin", "decision", "execution", "job", "policy", "webhook")
LIST = {"filter", "sort", "page_size", "page_token", "count", "fields", "include", "allow_scan"}
RENAMED = {"from": "since", "to": "until"}
#: What is not kept for a repeat, though its answer holds no secret.
ONCE = {"post_test_event"}
#: What is sent and read in a manner of its own, not as one question and one answer.
LEFT_OUT = {"get_openapi", "receive_callback", "live", "ready", "get_healthz", "scrape_metrics"}


class Writer:
    """The code of one document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.schemas: Mapping[str, Any] = document["components"]["schemas"]
        self.operations = sorted(_operations(document), key=lambda one: str(one["operationId"]))
        self.inputs = self._reached(one.get("requestBody", {}) for one in self.operations)
        self.words = {name for name, schema in self.schemas.items() if "enum" in schema}
        self.outputs = self._reached(_success(one) for one in self.operations) - self.inputs

    def shapes(self) -> str:
        """Return the module of shapes."""
        parts = [_SHAPES, *self._imports(), "Data = dict[str, Any]\n"]
        parts += [self._input(name) for name in sorted(self.inputs) if "properties" in self.schemas[name]]
        parts += [self._output(name) for name in self._bases_first()]
        return "\n\n".join(parts)

    def asks(self) -> str:
        """Return the module of asks."""
        functions = [self._ask(one) for one in self.operations]
        used = {name for name in (*self.inputs, *self.outputs) if re.search(rf"\b{name}\b", "\n".join(functions))}
        names = ", ".join(sorted(used))
        return "\n\n".join([f"{_ASKS}\nfrom mainspring.client.shapes import {names}\n", *functions])

    # -- shapes --------------------------------------------------------------------------------------------------

    def _reached(self, roots: Any) -> set[str]:
        found: set[str] = set()
        waiting = list(roots)
        while waiting:
            for name in re.findall(r"#/components/schemas/([A-Za-z0-9_]+)", str(waiting.pop())):
                if name not in found:
                    found.add(name)
                    waiting.append(self.schemas[name])
        return {
            name for name in found if not name.startswith(("Page_", "Listed_")) and name not in ("Problem", "Where")
        }

    def _imports(self) -> Iterator[str]:
        for word in WORDS:
            module = import_module(f"mainspring.model.{word}")
            there = sorted(
                name for name in self.words if getattr(getattr(module, name, None), "__module__", "") == module.__name__
            )
            if there:
                yield f"from {module.__name__} import {', '.join(there)}"

    def _bases_first(self) -> list[str]:
        names = [name for name in sorted(self.outputs) if "properties" in self.schemas[name]]
        return sorted(names, key=lambda name: (self._base(name) is not None, name))

    def _base(self, name: str) -> str | None:
        """Return the shape this one adds fields to: the largest whose fields it all has."""
        mine = self.schemas[name]["properties"]
        fits = [
            other
            for other in self.outputs - {name}
            if (theirs := self.schemas[other].get("properties")) and len(theirs) > 5 and theirs.items() < mine.items()
        ]
        return max(fits, key=lambda other: len(self.schemas[other]["properties"]), default=None)

    def _output(self, name: str) -> str:
        schema, base = self.schemas[name], self._base(name)
        known = self.schemas[base]["properties"] if base else {}
        rows = [f"{key}: {self._type(one)}" for key, one in schema["properties"].items() if key not in known]
        return f"class {name}({base or 'Shape'}):\n" + textwrap.indent("\n".join([_doc(schema), "", *rows]), "    ")

    def _input(self, name: str) -> str:
        schema = self.schemas[name]
        needed = schema.get("required", ())
        rows = []
        for key, one in schema["properties"].items():
            hint = self._type(one, takes=True)
            rows.append(f"{RENAMED.get(key, key)}: {hint if key in needed else f'NotRequired[{hint}]'}")
        return f"class {name}(TypedDict):\n" + textwrap.indent("\n".join([_doc(schema), "", *rows]), "    ")

    def _type(self, schema: Mapping[str, Any], *, takes: bool = False) -> str:
        """Return the type of a field; ``takes``: of one that is sent, where text will do for words and instants."""
        if "$ref" in schema:
            name = str(schema["$ref"]).rsplit("/", 1)[-1]
            return f"{name} | str" if takes and "enum" in self.schemas[name] else name
        if "anyOf" in schema:
            return " | ".join(dict.fromkeys(self._type(one, takes=takes) for one in schema["anyOf"]))
        if "const" in schema or "enum" in schema:
            words = schema.get("enum", [schema.get("const")])
            return f"Literal[{', '.join(map(repr, words))}]"
        match schema.get("type"):
            case "string":
                instant = "datetime | str" if takes else "datetime"
                return instant if schema.get("format") == "date-time" else "str"
            case "array":
                return f"list[{self._type(schema['items'], takes=takes)}]"
            case "object":
                inner = schema.get("additionalProperties")
                return f"dict[str, {self._type(inner, takes=takes)}]" if isinstance(inner, dict) and inner else "Data"
            case kind:
                return {"integer": "int", "number": "float", "boolean": "bool", "null": "None"}.get(str(kind), "Any")

    # -- asks ----------------------------------------------------------------------------------------------------

    def _ask(self, one: Mapping[str, Any]) -> str:
        name, parameters = str(one["operationId"]), one.get("parameters", ())
        listed = any(p["name"] == "page_token" for p in parameters)
        values = [p["name"] for p in parameters if p["in"] == "path" and p["name"] != "platform_id"]
        queries = [p for p in parameters if p["in"] == "query" and not (listed and p["name"] in LIST)]
        headers = {p["name"] for p in parameters if p["in"] == "header"}
        body = _first_ref(one.get("requestBody", {}))
        fields = self.schemas[body]["properties"] if body else {}
        answer, reads = self._answer(one)
        keyed = (
            name not in ONCE
            and "idempotency-key" in headers
            and "secret" not in self.schemas.get(answer, {}).get("properties", {})
        )
        taken = [f"{value}: str" for value in values]
        named = [f"{RENAMED.get(p['name'], p['name'])}: {self._optional(p['schema'])} = None" for p in queries]
        if "if-match" in headers:
            named.append("if_revision: int | None = None")
        own_key = keyed and "idempotency_key" not in fields
        if own_key:
            named.append("idempotency_key: str | None = None")
        rest = f"**body: Unpack[{body}]" if body else "**query: Unpack[ListQuery]" if listed else ""
        signature = ", ".join([*taken, *(["*", *named] if named else []), *([rest] if rest else [])])
        told = [repr(name), repr(one["method"].upper()), repr(one["path"].removeprefix(BASE) or BASE), reads]
        if values:
            told.append("{" + ", ".join(f"{value!r}: {value}" for value in values) + "}")
        pairs = ", ".join(f"{p['name']!r}: {RENAMED.get(p['name'], p['name'])}" for p in queries)
        spread = ("**query, " if listed else "") + pairs
        if spread:
            told.append(f"query={{{spread}}}")
        if body:
            told.append("body=renamed(body)" if fields.keys() & RENAMED.keys() else "body=body")
        if "if-match" in headers:
            told.append("if_match=tag(if_revision)" if name != "put_job" else "if_match=tag(if_revision) or '*'")
        if keyed:
            told.append("repeatable=True")
        if own_key:
            told.append("idempotency_key=idempotency_key")
        result = {"page": f"Page[{answer}]", "list": f"list[{answer}]"}.get(reads.partition("_")[0], answer)
        doc = f'    """{_sentence(one["description"])}"""'
        return f"def {name}({signature}) -> Ask[{result}]:\n{doc}\n    return Ask({', '.join(told)})\n"

    def _answer(self, one: Mapping[str, Any]) -> tuple[str, str]:
        schema = _success(one).get("content", {}).get("application/json", {}).get("schema", {})
        name = str(schema.get("$ref", "")).rsplit("/", 1)[-1]
        for prefix, read in (("Page_", "page_of"), ("Listed_", "list_of")):
            if name.startswith(prefix):
                row = name.removeprefix(prefix).rstrip("_")
                return row, f"{read}({row})"
        return (name, name) if name else ("None", "nothing")

    def _optional(self, schema: Mapping[str, Any]) -> str:
        hint = self._type(schema, takes=True)
        return hint if "None" in hint else f"{hint} | None"


def _operations(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            streamed = "text/event-stream" in str(_success(operation)) or "x-ndjson" in str(_success(operation))
            if operation["operationId"] not in LEFT_OUT and not streamed:
                yield {**operation, "path": path, "method": method}


def _success(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(
        (answer for status, answer in operation["responses"].items() if status.startswith("2")), {}
    )
    return found


def _first_ref(schema: Mapping[str, Any]) -> str | None:
    found = re.search(r"#/components/schemas/([A-Za-z0-9_]+)", str(schema))
    return found[1] if found else None


def _doc(schema: Mapping[str, Any]) -> str:
    return f'"""{_sentence(schema.get("description", schema["title"]))}"""'


def _sentence(text: str) -> str:
    return "\n".join(textwrap.wrap(" ".join(text.split()), 110, subsequent_indent="    "))


_HEAD = "Made from the OpenAPI document by `./dev openapi`: change the routes, not this file."
_SHAPES = f'''"""The shapes of what is sent and answered.

{_HEAD}
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NotRequired, TypedDict

from mainspring.client.shape import Shape'''
_ASKS = f'''"""Everything a server can be asked, each as data: see `mainspring.client.ask`.

{_HEAD}
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Unpack

from mainspring.client.ask import Ask, ListQuery, list_of, nothing, page_of, renamed, tag
from mainspring.client.shape import Page'''


def made(document: Mapping[str, Any]) -> dict[Path, str]:
    """Return what each file should hold."""
    writer = Writer(document)
    return {
        CLIENT / "shapes.py": _formatted(writer.shapes()),
        CLIENT / "asks.py": _formatted(writer.asks()),
    }


def _formatted(code: str) -> str:
    ruff = Path(sys.executable).with_name("ruff")
    for command in (["check", "--fix", "-q", "--select", "I,F401"], ["format", "-q"]):
        words = [str(ruff), *command, "--stdin-filename", str(CLIENT / "x.py"), "-"]
        code = subprocess.run(words, input=code, capture_output=True, text=True, check=True).stdout
    return code


def write(document: Mapping[str, Any]) -> None:
    """Write the files."""
    for path, code in made(document).items():
        path.write_text(code, "utf-8")
