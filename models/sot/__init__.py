"""The LLM-backed SOT decoder: configuration, prompt format, the forward pass, generation and its checkpoint."""

from models.compat import prepare

prepare()
