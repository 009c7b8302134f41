"""Recorded experience: in, out, checked, measured, weighted and sampled."""
