"""Conditional flow matching: generates latents from noise, given a condition."""
