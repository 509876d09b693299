"""Judges: classifiers of sounds and of pictures that evaluate all trials of a corpus."""
