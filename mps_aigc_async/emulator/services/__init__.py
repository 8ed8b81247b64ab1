"""The three services, as their documents describe them."""
