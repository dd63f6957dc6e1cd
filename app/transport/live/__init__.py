"""The live protocol over WebSockets (docs/live-protocol.md): messages, sessions, viewers, the store behind a resume."""
