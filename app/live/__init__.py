"""Live captions: the driver paced by incoming sound. `session.LiveSession` is all that transports need."""
