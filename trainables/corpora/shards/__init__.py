"""The cache of decoded recordings: shards, to which recordings are appended."""
