"""The trainable image_to_sound: generates a sound for a picture."""
