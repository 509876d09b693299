"""The classifier: predicts the class of a sound or of an image."""
