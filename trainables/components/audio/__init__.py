"""Sounds as signals: clips, spectra, phases, and how far one sound is from another."""
