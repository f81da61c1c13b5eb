"""The JSON of the guest agent: bodies, answers and the frames of its streams, as frozen structs.

One file per noun, named as in ``guestmanager``, which encodes and decodes with them; the agent's Go
structs have the same fields (a test reads these). An agent may be older or newer than the host:
unknown fields of an answer are ignored, and what it may lack has a default. An agent refuses a
request with a field that it does not know. Answers are a guest's word: ``guestmanager`` bounds and
checks what matters.
"""
