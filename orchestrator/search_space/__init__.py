"""Search spaces: a YAML file is read into the arms of a sweep, and mistakes are reported with their place in it."""
