"""Whisper: its weights as a transformers model, its encoder for the SOT decoder, and transcription of clips."""

from models.compat import prepare

prepare()
