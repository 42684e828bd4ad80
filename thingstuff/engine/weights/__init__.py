"""Files of weights: found, fetched, read without running code, written whole, and fitted to a model."""
