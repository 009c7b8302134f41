"""Language models: methods that learn from text, preferences and verifiers, one file a method."""
