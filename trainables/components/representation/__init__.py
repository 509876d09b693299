"""The tensors that networks process, their normalization, and the rendering of sound from them."""
