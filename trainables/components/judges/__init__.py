"""The classifiers by which all trials of a corpus are judged."""
