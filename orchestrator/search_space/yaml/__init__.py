"""Reading YAML: nodes that know their lines, and a bound on what aliases may expand to."""
