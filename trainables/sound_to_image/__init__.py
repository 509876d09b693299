"""The trainable sound_to_image: generates a picture for a sound."""
