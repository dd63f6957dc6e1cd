"""`response_format` -> how the finished transcript is written.

`text` and `json` are OpenAI's; the file formats of `app/formats` keep their names, and our own rich JSON is
`crosstalk_json`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from app.formats import FORMATS, Format
from app.formats.openai import to_json, to_text, to_verbose

RESPONSE_FORMATS: Mapping[str, Format] = {
    "json": Format("json", "application/json", ".json", to_json),
    "text": Format("text", "text/plain; charset=utf-8", ".txt", to_text),
    "crosstalk_json": FORMATS["json"],
    **{name: it for name, it in FORMATS.items() if name not in {"json", "txt"}},
}

STREAMED_FORMATS = ("json", "text", "diarized_json")
"""With `stream=true` only these: the others are files, which a client would lose if it waited for events."""


def response_format(name: str, granularities: Collection[str]) -> Format:
    """The format of that (known) name; `granularities` are those of verbose_json, OpenAI's default when empty."""
    chosen = RESPONSE_FORMATS[name]
    if name != "verbose_json":
        return chosen
    wanted = tuple(granularities) or ("segment",)
    return Format(name, chosen.media_type, chosen.extension, partial(to_verbose, timestamp_granularities=wanted))
