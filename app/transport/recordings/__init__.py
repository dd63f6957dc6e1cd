"""`/v1/recordings`: recordings as durable jobs over HTTP. Described in docs/recordings-api.md."""
