"""The neural models: weights on disk in, tensors out. Nothing here imports `app`."""
