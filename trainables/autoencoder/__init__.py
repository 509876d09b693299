"""Sounds through a latent and back."""
