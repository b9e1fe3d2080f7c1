"""Where Hydra looks for plugins; what they do lives in seqlab.sweep."""
