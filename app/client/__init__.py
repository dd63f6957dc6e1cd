"""Python clients of a Crosstalk server. They know the wire, not the server: nothing of `app.transport` is imported."""
