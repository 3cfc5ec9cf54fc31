"""The wire shapes of SPEC §3 and §6: values to plain data and back, the same in API, tables, job files and JSON output.

Durations are integer milliseconds with the suffix ``_ms``; instants are RFC 3339 in UTC with microseconds. Unknown
fields are refused with the nearest known name, wrong values with the path to them.
"""

from mainspring.model.wire.definitions import (
    DEFINITION_FIELDS,
    DefinitionReader,
    check_policies,
    definition_from_record,
    definition_from_wire,
    definition_to_wire,
    definitions_to_wire,
    retry_from_wire,
    retry_to_wire,
)
from mainspring.model.wire.readers import handler_name, name
from mainspring.model.wire.shown import (
    decision_to_wire,
    execution_from_wire,
    execution_to_wire,
    job_to_wire,
    record_to_wire,
)
from mainspring.model.wire.values import (
    HANDLER,
    HANDLER_TYPES,
    NAME,
    PAYLOAD_LIMIT,
    RESULT_LIMIT,
    instant,
    milliseconds,
    refuse_unknown,
)

__all__ = [
    "DEFINITION_FIELDS",
    "HANDLER",
    "HANDLER_TYPES",
    "NAME",
    "PAYLOAD_LIMIT",
    "RESULT_LIMIT",
    "DefinitionReader",
    "check_policies",
    "decision_to_wire",
    "definition_from_record",
    "definition_from_wire",
    "definition_to_wire",
    "definitions_to_wire",
    "execution_from_wire",
    "execution_to_wire",
    "handler_name",
    "instant",
    "job_to_wire",
    "milliseconds",
    "name",
    "record_to_wire",
    "refuse_unknown",
    "retry_from_wire",
    "retry_to_wire",
]
