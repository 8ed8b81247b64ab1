"""Settings for the whole suite."""

from hypothesis import settings

# Machines are noisy: how long one example takes says nothing about the code.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
