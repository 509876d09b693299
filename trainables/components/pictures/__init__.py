"""Pictures: augmentation, and drawings of spectrograms."""
