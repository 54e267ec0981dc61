"""Slurm's commands: handing in a script, asking what is still queued, taking jobs back.

Not every cluster has all of them on every machine, and accounting (``sacct``) is often switched off: what one command
cannot tell, the next is asked.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Sequence

from deepwriting.errors import ExecutorError

log = logging.getLogger(__name__)

#: Between the ids of one phase that had to be split into several array jobs.
JOINT = "+"
#: A controller that is being restarted takes its time; Slurm's own limit is shorter (seconds).
PATIENCE_SECONDS = 120.0
#: States in which a job may still run, now or later; `scontrol` and `sacct` may add more words behind.
_LIVE_STATES = frozenset(
    {
        "COMPLETING", "CONFIGURING", "PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING", "RUNNING",
        "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "SUSPENDED",
    }
)  # fmt: skip
#: What a job inside another one would take over from it: sizes and ids of that one. The cluster's address stays.
_ADDRESS = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT", "SLURM_CLUSTERS")
#: How Slurm says that it knows no such job (any more).
_UNKNOWN_JOB = "Invalid job id"


def hand_in(script: str, *options: str) -> str:
    """Hand a script to ``sbatch``.

    Args:
        script: the script with its ``#SBATCH`` lines.
        options: more options, which count more than the script's.

    Returns:
        The job's id.

    Raises:
        ExecutorError: if Slurm does not take it; says why in Slurm's words.
    """
    done = _slurm("sbatch", "--parsable", *options, script=script)
    if done is None:
        raise ExecutorError("sbatch is not on this machine; submit from one that belongs to a Slurm cluster")
    if done.returncode:
        raise ExecutorError(f"sbatch refuses the job: {_last_line(done.stderr)}")
    return done.stdout.strip().split(";")[0]  # behind the semicolon: the cluster's name, where there are several


def cancel(ids: Sequence[str]) -> None:
    """Take jobs back, whatever has become of them."""
    if ids:
        _slurm("scancel", *_single(ids))


def left(ids: Sequence[str]) -> list[str] | None:
    """Which of some jobs are still queued or running; ``None`` if nothing here can tell.

    Args:
        ids: as ``hand_in`` returned them, those of one phase joined by ``+``; an empty one stands for no job.
    """
    wanted = _single(ids)
    if not wanted:
        return []
    for ask in (_from_squeue, _from_scontrol, _from_sacct):
        live = ask(wanted)
        if live is not None:
            return [id_ for id_ in ids if live.intersection(_single([id_]))]
    return None


def of_run(comment: str) -> list[str]:
    """Ids of the jobs in the queue that carry a comment; none where ``squeue`` cannot be asked."""
    done = _slurm("squeue", "--noheader", "--format=%F|%k")
    if done is None:
        return []
    if done.returncode:
        _no_answer(done)
        return []
    rows = [line.split("|", 1) for line in done.stdout.splitlines()]
    return sorted({row[0].strip() for row in rows if row[1:] == [comment]}, key=int)


def _from_squeue(ids: Sequence[str]) -> set[str] | None:
    done = _slurm("squeue", "--noheader", "--format=%F", f"--jobs={','.join(ids)}")
    if done is None:
        return None
    if done.returncode and _UNKNOWN_JOB not in done.stderr:
        _no_answer(done)
        return None
    return set(done.stdout.split())


def _from_scontrol(ids: Sequence[str]) -> set[str] | None:
    live = set()
    for id_ in ids:
        done = _slurm("scontrol", "--oneliner", "show", "job", id_)
        if done is None:
            return None
        if done.returncode and _UNKNOWN_JOB not in done.stderr:
            _no_answer(done)
            return None
        words = [word.partition("=") for word in done.stdout.split()]
        if any(key == "JobState" and state in _LIVE_STATES for key, _, state in words):
            live.add(id_)
    return live


def _from_sacct(ids: Sequence[str]) -> set[str] | None:
    done = _slurm("sacct", "--noheader", "--parsable2", "--format=JobID,State", "--jobs", ",".join(ids))
    if done is None:
        return None
    if done.returncode:
        _no_answer(done)
        return None
    rows = [line.split("|") for line in done.stdout.splitlines()]
    # 12_3.batch is a step of task 3 of job 12; "CANCELLED by 1000" a state.
    return {id_.split(".")[0].split("_")[0] for id_, state in rows if state.split()[0] in _LIVE_STATES}


def _no_answer(done: subprocess.CompletedProcess[str]) -> None:
    log.warning("%s: %s", done.args[0], _last_line(done.stderr))


def _single(ids: Sequence[str]) -> list[str]:
    return [single for id_ in ids for single in id_.split(JOINT) if single]


def _slurm(program: str, *arguments: str, script: str | None = None) -> subprocess.CompletedProcess[str] | None:
    """Run one of the commands; ``None`` if it is not here."""
    path = shutil.which(program)
    if path is None:
        return None
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_") or key in _ADDRESS}
    try:
        return subprocess.run(
            [path, *arguments], input=script, env=environment, capture_output=True, text=True, check=False,
            timeout=PATIENCE_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess([program], 1, "", f"no answer within {PATIENCE_SECONDS:.0f} s")


def _last_line(text: str) -> str:
    """The last line in which Slurm says what is wrong; the hint that may follow says nothing."""
    lines = [line for line in text.strip().splitlines() if not line.startswith('Try "')]
    return lines[-1].strip() if lines else "it does not say why"
