"""A small Hub for one machine: try a release, or test one, without an account.

It speaks the protocol of the Hugging Face Hub as far as datasets need it, so that the genuine ``huggingface_hub``,
``datasets`` and ``hf://`` file systems work against it unchanged once ``HF_ENDPOINT`` names it:

    objects.py       git's objects: blobs, trees, commits and tags by their real hashes
    entries.py       a file as a commit has it: contents, or a pointer to a large file
    repository.py    a bare git repository with large files beside it: branches, tags, history, commits
    store.py         the folder of all repositories; who may see which
    tokens.py        tokens that may write, may only read, or have expired
    messages.py      a request, a response, and a refused with the Hub's own error codes
    routes.py        which function answers which address
    api_*.py         those functions
    cards.py         metadata of a README.md
    links.py         signed addresses of large files
    xet.py           large files that came in pieces through ``hf_xet``'s store
    jobs.py          jobs, as processes on this machine
    faults.py        connections that are cut and requests that are refused on purpose, and the log of requests
    handler.py       HTTP: reading requests, sending responses
    server.py        listening

Everything is kept in a folder, so a restart finds every repository again; ``git log`` and ``git show`` read them.
"""
