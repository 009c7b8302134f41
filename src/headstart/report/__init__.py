"""Pages and figures made from recorded runs."""
