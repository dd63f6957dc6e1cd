"""`python -m models.training train` with a tiny random LLM instead of the real one, for processes of their own."""

from __future__ import annotations

import sys

from models.training import commands
from tests.models.sot.tiny import tiny_llm

if __name__ == "__main__":
    commands.load_named_llm = lambda *_: tiny_llm()
    sys.exit(commands.main(sys.argv[1:]))
