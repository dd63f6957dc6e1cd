"""Crosstalk: multi-talker meeting transcription. Who spoke, when, and what, also where people talk over each other."""

__version__ = "0.1.0"
