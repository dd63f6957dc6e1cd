"""The pure part of the way of the data: windows, speakers, turns, segments. No model, socket, file, clock or await."""
