"""The demo corpus: synthetic recordings of ten classes, written as real files."""
