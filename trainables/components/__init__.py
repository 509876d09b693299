"""Small registered parts that trainables are built from."""
