"""The OpenAPI document: every route is in it, with every error, and only what is checked by keys asks for one."""

from __future__ import annotations

import json

import jsonschema
import pytest
from fastapi.routing import APIRoute

from app.formats import FORMATS
from app.main import create_app
from app.settings import AccessGroup, Settings
from app.transport.access.needs import NEEDS
from app.transport.answers import ANSWERS
from app.transport.openapi import operations
from tests.formats.views import meeting


@pytest.fixture(scope="module", params=[False, True], ids=["open", "keys"])
def document(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("openapi")
    app = create_app(Settings(data_dir=folder, access=AccessGroup(required=request.param)))
    return app.openapi(), request.param


def test_every_route_has_an_entry_and_every_entry_a_route(document):
    found = {(method, path) for method, path, _ in operations(document[0])}
    assert found == set(ANSWERS)
    app = create_app(Settings())
    hidden = {it.path for it in app.routes if isinstance(it, APIRoute)} - {path for _, path in found}
    assert all(path in ("/", "/recordings", "/settings") or path.startswith("/static/") for path in hidden)


def test_errors_have_one_shape(document):
    for method, path, operation in operations(document[0]):
        assert {"403", "500", "503"} <= set(operation["responses"]), (method, path)
        for status, answer in operation["responses"].items():
            if status >= "400" and path != "/readyz" and status != "416":
                assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ErrorBody"}
                assert answer["description"], (method, path, status)


def test_keys_are_asked_for_where_the_guard_does(document):
    made, required = document
    for method, path, operation in operations(made):
        secret = required and not NEEDS[path]["GET" if method == "HEAD" else method].public
        assert ("security" in operation) == secret, (method, path)
        assert ("401" in operation["responses"]) == secret, (method, path)
    assert ("securitySchemes" in made["components"]) == required


def test_references_lead_somewhere(document):
    made = document[0]

    def look(value):
        if isinstance(value, dict):
            for key, inner in value.items():
                if key == "$ref":
                    at = made
                    for step in inner.removeprefix("#/").split("/"):
                        at = at[step]
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)

    look(made)


def test_transcripts_are_what_the_document_says(document):
    made = document[0]
    content = made["paths"]["/v1/recordings/{recording_id}/transcript"]["get"]["responses"]["200"]["content"]
    shapes = {"$ref": "#/shapes", "shapes": content["application/json"]["schema"], "components": made["components"]}
    for name, chosen in FORMATS.items():
        kind = chosen.media_type.partition(";")[0]
        assert kind in content, name
        if kind == "application/json":
            jsonschema.validate(json.loads(chosen.render(meeting())), shapes)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"schema_version": 1}, shapes)


def test_limits_of_numbers_are_told(document):
    body = document[0]["paths"]["/v1/speakers"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert (body["properties"]["speaker"]["minimum"], body["properties"]["speaker"]["maximum"]) == (0, 10_000)
