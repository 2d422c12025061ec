"""Small models that come with tfgig, and the scripts that trained them."""
