"""`orchestrate export`: what a sweep has recorded, in the files of other programs."""
