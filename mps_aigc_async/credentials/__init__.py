"""The keys of this moment, and the files and objects they come from."""
