"""Pictures: of spectrograms, and what may be done to them without changing what they show."""
