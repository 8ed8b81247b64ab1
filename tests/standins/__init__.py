"""Stand-ins for MPS, VOD and the relay, written from their documents: `async with running("vod") as vod`.

The stand-ins share no code with the package, and so none of its assumptions; nor with its emulator. Each signature is
checked by a fresh implementation, each field's name against the documents. A stand-in counts its tasks by prompt, and
can lose creates: it closes the connection before the task is made, or after.
"""
