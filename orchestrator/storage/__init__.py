"""Files and file systems, independent of their contents: durable writes, append-only logs, temporary folders."""
