"""HTTP: requests in, sessions run, wire formats out. Knows the session and the formats, never a model."""
