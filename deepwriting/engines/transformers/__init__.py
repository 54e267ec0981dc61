"""The ``transformers`` engine: a model in this process.

engine.py                  what the search calls
worker.py                  the thread that does the model work of one device
forward.py, heads.py       one pass of the model over rows; its output layer where it is needed only
batches.py, memory.py      which rows go together; want of memory
prefixes.py, past.py       beginnings that are computed already, and a pass that goes on from them
reuse.py, alone.py         whether a model's cache can be used again; sampling where it cannot
scoring.py                 scores that many callers ask for
decoder.py, slots.py       sampling many sequences at once
sequences.py, drawing.py   what is asked for; the next token, seeded for each sequence
"""
