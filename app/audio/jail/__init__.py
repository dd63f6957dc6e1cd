"""Strangers' media are decoded in processes of their own, which can do nothing but that.

server: `parent` starts `child` by `wire` messages over pipes; `confine` is what the child gives up before it looks at
a byte; `recorded` decodes files with it, and app/audio/stream.py what comes in pieces.
"""
