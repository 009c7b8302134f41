"""Comparisons with other libraries, measured side by side on one machine."""
