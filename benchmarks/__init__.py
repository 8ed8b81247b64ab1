"""Benchmarks of the SDK's speed and limits: `python -m benchmarks NAME`. Not part of the tests."""
