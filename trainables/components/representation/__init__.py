"""What a network sees of a clip, and the way back to sound."""
