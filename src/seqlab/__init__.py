"""Compare recurrent sequence models fairly."""
