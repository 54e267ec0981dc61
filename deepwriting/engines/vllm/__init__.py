"""The ``vllm`` engine: vLLM inside this process.

engine.py    what the search calls
worker.py    the thread that drives vLLM
core.py      vLLM's engine core, one step at a time
scoring.py   the ways to log-probabilities that the installed version has
start.py     arguments and environment of the engine core
"""
