"""Bundled recipes; ``deepwriting recipes`` lists them."""
