"""The results of the services: pictures, films and sounds."""
