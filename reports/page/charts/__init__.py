"""The charts of the page: SVG that takes its colours from the style sheet and answers to the page's script."""
