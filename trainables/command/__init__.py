"""A trainable that runs a command, such as a training script, and reads its metrics from what it prints."""
