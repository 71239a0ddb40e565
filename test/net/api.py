#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Holds what the daemons answer against what is written of it.

api.py schemas OPENAPI               every object names all its fields and allows no other
api.py routes OPENAPI SOURCE...      the paths of the tables of routes are those of the document
api.py answer OPENAPI PATH STATUS [METHOD]
                                     the JSON on stdin is what the document says
api.py stream OPENAPI                likewise for server-sent events; prints how many of each
api.py dashboard FILE METRICS        every metric that a dashboard asks for is among the metrics
"""

import collections
import json
import re
import sys

import jsonschema
import yaml

SUFFIXES = ("_bucket", "_sum", "_count")


def load(path):
    with open(path, encoding="utf-8") as file:
        return yaml.safe_load(file)


def validate(document, schema, value):
    """Dies of the first difference, with its place."""
    whole = dict(schema, components=document["components"])
    error = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(whole).iter_errors(value)
    )
    if error:
        sys.exit(f"at {error.json_path}: {error.message}")


def check_schemas(document_path):
    document = load(document_path)
    for name, schema in document["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        if schema.get("type") != "object":
            continue
        # What is asked for may be a part.
        if name not in ("Change", "Addition") and set(schema.get("required", [])) != set(schema.get("properties", {})):
            sys.exit(f"{name}: not all fields are required, or too many")
        closed = "additionalProperties" in schema or "unevaluatedProperties" in schema
        # ...Fields are parts of others, which are closed.
        if not closed and not name.endswith("Fields"):
            sys.exit(f"{name}: allows fields that are not written down")


def check_routes(document_path, *sources):
    written = {re.sub(r"\{\w+\}", "*", path) for path in load(document_path)["paths"]}
    answered = set()
    for source in sources:
        with open(source, encoding="utf-8") as file:
            answered |= set(re.findall(r'\{EVHTTP_REQ_\w+, \w+, "([^"]+)"', file.read()))
    if written != answered:
        sys.exit(f"only written: {written - answered}; only answered: {answered - written}")


def resolve(document, node):
    while "$ref" in node:
        found = document
        for key in node["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        node = found
    return node


def check_answer(document_path, path, status, method="get"):
    document = load(document_path)
    response = resolve(document, document["paths"][path][method]["responses"][status])
    validate(document, response["content"]["application/json"]["schema"], json.load(sys.stdin))


def check_stream(document_path):
    document = load(document_path)
    schemas = {"status": "BalancerStatus", "event": "Event"}
    counts = collections.Counter()
    # What a time limit has cut off is no message.
    for message in sys.stdin.read().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in message.splitlines())
        if "data" not in fields:
            continue
        data = json.loads(fields["data"])
        validate(document, {"$ref": f"#/components/schemas/{schemas[fields['event']]}"}, data)
        if fields["event"] == "event" and int(fields["id"]) != data["sequence"]:
            sys.exit(f"id {fields['id']} of event {data['sequence']}")
        counts[data.get("kind", fields["event"])] += 1
    for kind, count in sorted(counts.items()):
        print(kind, count)


def expressions(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("expr", "query") and isinstance(value, str):
                yield value
            else:
                yield from expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)


def check_dashboard(dashboard_path, metrics_path):
    with open(metrics_path, encoding="utf-8") as file:
        known = set(re.findall(r"^# TYPE (\S+)", file.read(), re.MULTILINE))
    known |= {name + suffix for name in known for suffix in SUFFIXES}
    asked = set()
    for expression in expressions(load(dashboard_path)):
        asked |= set(re.findall(r"\bplimsoll_\w+", expression))
    if not asked:
        sys.exit("asks for nothing")
    if asked - known:
        sys.exit(f"asks for what is not there: {', '.join(sorted(asked - known))}")


def main():
    verbs = {
        "schemas": check_schemas,
        "routes": check_routes,
        "answer": check_answer,
        "stream": check_stream,
        "dashboard": check_dashboard,
    }
    if len(sys.argv) < 3 or sys.argv[1] not in verbs:
        sys.exit(__doc__)
    verbs[sys.argv[1]](*sys.argv[2:])


main()
