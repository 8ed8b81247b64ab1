"""What the SDK's speed and limits are measured with: `python -m benchmarks NAME`. Not part of the tests."""
