"""Signal processing of clips: spectrograms, phases, grids, and metrics between sounds."""
