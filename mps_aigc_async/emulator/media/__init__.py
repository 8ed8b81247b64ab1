"""What the services make: pictures, films and sounds."""
