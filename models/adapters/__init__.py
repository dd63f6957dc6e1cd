"""Low-rank adapters of frozen models, by peft."""

from models.compat import prepare

prepare()
