"""The verbs, one module each: what they do, apart from the parsing and the printing of the command line."""
