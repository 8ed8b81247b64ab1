"""The commands as users type them: arguments, options and help. The work of a command is imported when it is called.

So `--help` needs no package but typer, and answers at once.
"""
