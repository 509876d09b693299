"""Reports of sweeps: sentences, tables, figures, and the files that they are written to."""
