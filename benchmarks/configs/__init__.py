"""Ready configurations; each docstring gives its command, how long it takes and what comes out."""
