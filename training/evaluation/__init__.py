"""Window scorers compared on the same questions, with intervals and tables."""
