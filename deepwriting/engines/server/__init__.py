"""The ``server`` engine: any server that speaks the OpenAI protocol.

engine.py      what the search calls
sampling.py    requests for continuations           chat.py      messages instead of one prompt
scoring.py     requests for log-probabilities       probe.py     what a server is asked at the start
client.py      limits, attempts, patience           trouble.py   what an answer means
process.py     a local server that the run starts   supervisor.py  watches it, as a process of its own
setup.py       tokenizer, address, event loop      key.py       the key and where it must not go
locks.py       who uses a server, on which port
"""
