"""`/v1/uploads`: files that come in parts, after tus 1.0. Described in docs/recordings-api.md."""
