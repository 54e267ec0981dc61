"""A discrete simulation of a run on a cluster; ``benchmarks/cluster_simulation.py`` is its command.

costs.py     what things cost, each figure with where it comes from
rows.py      what the search of a row asks for, drawn from lengths or taken from a pilot
servers.py   devices, generators and scorers: queueing, batching, memory, kept prefixes
pool.py      several servers behind one engine: spread, stickiness, servers that die
cluster.py   tasks with their searches, journals and faults on top of the pools
stages.py    the stages before and after the search
pictures.py  the plots of docs/scaling.md
"""
