"""The benchmark: meetings with known answers in, error rates and speed out. `crosstalk bench accuracy` runs it."""
