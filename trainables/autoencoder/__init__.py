"""The autoencoder: encodes clips of sound into a latent and decodes them again."""
