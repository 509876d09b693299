"""What training minimizes, each by its name in YAML."""
