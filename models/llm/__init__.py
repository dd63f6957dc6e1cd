"""The language model of the SOT decoder: its weights as a transformers model with its tokenizer."""

from models.compat import prepare

prepare()
