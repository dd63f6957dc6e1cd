"""Public models that write who says what and when themselves, behind the interface of every decoder."""

from models.compat import prepare

prepare()
