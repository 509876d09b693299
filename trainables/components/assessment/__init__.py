"""How good estimates are, measured in the same way for trials and reference lines."""
