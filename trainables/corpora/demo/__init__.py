"""The demo corpus: made-up recordings of ten classes, written as real files."""
