"""Recordings as durable jobs: our tables are the only truth, an engine only says which job runs where and when."""
