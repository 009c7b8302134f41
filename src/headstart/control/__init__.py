"""Methods that learn to control, one file a method."""
