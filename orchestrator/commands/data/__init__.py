"""`orchestrate data …`: prepare a corpus, check its cache, and say what it needs."""
