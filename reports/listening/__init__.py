"""Blind listening tests of the sounds of a sweep."""
