"""Blind listening tests (MOS and ABX) of the sounds of a sweep."""
