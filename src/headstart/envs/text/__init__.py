"""Worlds of words: problems as text, with exact verifiers and known data-generating processes."""
