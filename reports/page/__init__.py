"""What was found, as sentences, tables, figures and files."""
