"""The vocabulary: requests, results, outcomes, errors, events, states."""
