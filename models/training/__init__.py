"""Training side of the models: simulated conversations, and the SOT decoder's fitting to them. Not needed to serve."""
