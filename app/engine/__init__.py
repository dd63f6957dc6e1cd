"""The engine: where windows of sound become diarization and words. Stateless requests, many sessions in one batch."""
