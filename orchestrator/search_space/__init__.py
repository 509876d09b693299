"""From a YAML file to the arms of a sweep, with every mistake at its place."""
