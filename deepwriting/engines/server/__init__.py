"""The ``server`` engine: any server that speaks the OpenAI protocol, or several of them.

engine.py      what the search calls
sampling.py    requests for continuations           chat.py        messages instead of one prompt
scoring.py     requests for log-probabilities       probe.py       what a server is asked at the start
client.py      limits, attempts, patience           trouble.py     what an answer means
connections.py HTTP, for one event loop each        key.py         the key and where it must not go

pool.py        which server gets the next request   endpoint.py    what is known of one
affinity.py    who has read a text's beginning      addresses.py   which servers there are
tending.py     looks at servers before they are     admission.py   what each of them has to show
               asked, and when they were away       announcement.py  a server's sign in a shared folder

process.py     local servers that the run starts    supervisor.py  watches one, as a process of its own
serving.py     ``deepwriting serve``: the same for others to use
setup.py       tokenizer, event loop                locks.py       who uses a server, on which port
"""
