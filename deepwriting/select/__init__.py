"""Choosing pairs: exact duplicates, the taxonomy of 25 categories, and the classifier."""
