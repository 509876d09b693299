"""Files that machines without a common home exchange through an object store."""
