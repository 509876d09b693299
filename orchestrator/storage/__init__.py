"""Files and file systems, whatever is in them: durable writes, append-only logs, temporary folders."""
