"""The batch script of one phase: what Slurm is asked for, and what happens when a task is ended before it is done.

Each task of the array runs one datatrove task. The script stays beside it, for three reasons:

- A little before its time limit Slurm warns the script (``--signal``). The task stops between two steps, and is queued
  again with a new time limit: a search of a week runs on a partition that allows four hours.
- A task that was killed (for its memory, most often) is queued again too, but only so many times in a row without
  having finished a step.
- ``scontrol requeue $SLURM_JOB_ID``, which is what datatrove's own handler does, queues *all* tasks of the array again
  when the task is the array's last: that one has the array's own id. So the task is named as ARRAY_INDEX.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from deepwriting.errors import ExecutorError

if TYPE_CHECKING:
    from deepwriting.sections.execution import StageExecution

#: Exit status of a task that stopped in order and got somewhere: it is queued again, however often.
TO_BE_CONTINUED = 99
#: Environment variable that names the file in which the script counts fruitless attempts.
ATTEMPTS = "DEEPWRITING_ATTEMPTS"
#: Options of sbatch that the script depends on.
OWN_OPTIONS = frozenset(
    {
        "array", "chdir", "comment", "dependency", "error", "export", "input", "job-name", "kill-on-invalid-dep",
        "no-requeue", "nodes", "ntasks", "open-mode", "output", "parsable", "quiet", "requeue", "signal", "test-only",
        "wait", "wrap",
    }
)  # fmt: skip
#: Recipes count memory in GB, Slurm in MiB.
_MIB_PER_GB = 1e9 / 2**20
_OPTION_NAME = re.compile(r"[a-z][a-z0-9-]*")
#: Images that apptainer runs; others are handed to pyxis.
_APPTAINER = re.compile(r".*\.sif|(docker|library|oras|shub)://.*")

_BODY = """
# Written by deepwriting. Each task of this array runs one of datatrove's.
set -e
{setup}
set +e
export PYTHONUNBUFFERED=TRUE
me="${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
export {ATTEMPTS}={folder}/attempts-"$me"
ended=

{command} &
task=$!
# The warning before the time limit. What does not stop in time is killed: its journal does not mind.
trap 'kill -USR1 "$task"; (sleep {patience}; kill -KILL "$task") 2>/dev/null &' USR1
# Slurm itself ends the job (scancel, a higher priority): it knows best whether to queue it again.
trap 'ended=yes; kill -TERM "$task"' TERM
while wait "$task"; kill -0 "$task" 2>/dev/null; do :; done
wait "$task"
status=$?

if [ -n "$ended" ] || {{ [ "$status" -ne {TO_BE_CONTINUED} ] && [ "$status" -le 128 ]; }}; then
    exit "$status"
fi
if [ "$status" -gt 128 ]; then
    echo "$status" >> "${ATTEMPTS}"
    attempts=$(wc -l < "${ATTEMPTS}")
    if [ "$attempts" -gt {retries} ]; then
        echo "ended by signal $((status - 128)) $attempts times without finishing a step; not queued again" \
             "(9: killed, often for its memory; 10: its time limit is too short)" >&2
        exit "$status"
    fi
fi
scontrol requeue "$me" && sleep 300  # Slurm ends this script, which is what it waits for
exit "$status"
"""


def options_of(
    needs: StageExecution,
    *,
    name: str,
    array: str,
    comment: str,
    folder: Path,
    warning_s: int,
    qos: str | None,
    account: str | None,
    more: Mapping[str, str],
) -> dict[str, str]:
    """The options for sbatch, by name; those without a value have an empty one.

    Args:
        needs: what each task is given.
        name: the job's name.
        array: indices of the array, such as ``0-9%4``.
        comment: what tells the run's jobs from others.
        folder: where the tasks' output goes.
        warning_s: how long before its time limit a task is warned (seconds).
        qos: quality of service.
        account: who is charged.
        more: more options; they replace those that say the same.
    """
    # A folder's name may hold what Slurm would replace.
    output = str(folder).replace("%", "%%") + "/%A_%a.out"
    options = {
        "job-name": name,
        "array": array,
        "comment": comment,
        "nodes": "1",
        "ntasks": "1",
        "cpus-per-task": str(needs.cpus),
        "mem": f"{math.ceil(needs.memory_gb * _MIB_PER_GB)}M",
        "gres": f"gpu:{needs.gpus}" if needs.gpus else None,
        "time": clock(needs.time_s) if needs.time_s is not None else None,
        "partition": needs.partition,
        "qos": qos,
        "account": account,
        "output": output,
        "open-mode": "append",
        "requeue": "",
        "signal": f"B:USR1@{warning_s}",
        "kill-on-invalid-dep": "yes",
    }
    if any(key.startswith(("gpus", "gres")) for key in more):
        options["gres"] = None
    if any(key.startswith("mem-per") for key in more):
        options["mem"] = None
    return {key: value for key, value in (options | dict(more)).items() if value is not None}


def check_options(more: Mapping[str, str]) -> None:
    """Refuse options that the script depends on, or that are none.

    Raises:
        ExecutorError: if there is one.
    """
    for key in more:
        if not _OPTION_NAME.fullmatch(key):
            raise ExecutorError(
                f"execution.slurm.options: {key!r} is no long option of sbatch; write it without dashes, "
                'such as {"constraint": "a100"}'
            )
        if key in OWN_OPTIONS:
            raise ExecutorError(
                f"execution.slurm.options: {key!r} cannot be chosen, the run depends on it; "
                f"likewise {', '.join(sorted(OWN_OPTIONS - {key}))}"
            )


def script(options: Mapping[str, str], *, command: str, setup: str, folder: Path, retries: int, warning_s: int) -> str:
    """The batch script.

    Args:
        options: from ``options_of``.
        command: what a task runs, from ``command``.
        setup: shell commands before it.
        folder: where attempts are counted.
        retries: how often a task that was killed is queued again without having finished a step.
        warning_s: how long before its time limit a task is warned (seconds).
    """
    lines = [f"#SBATCH --{key}" + (f"={_quoted(value)}" if value else "") for key, value in options.items()]
    body = _BODY.format(
        setup=setup.strip() or ":", folder=shlex.quote(str(folder)), command=command, patience=max(warning_s // 2, 1),
        retries=retries, ATTEMPTS=ATTEMPTS, TO_BE_CONTINUED=TO_BE_CONTINUED,
    )  # fmt: skip
    return "\n".join(["#!/bin/bash", *lines, body])


def command(python: str, pickle: Path, needs: StageExecution, *, folders: list[Path]) -> str:
    """The command that runs a task.

    Args:
        python: the interpreter, for tasks that run outside a container.
        pickle: datatrove's pickled executor.
        needs: what the task is given; its image decides.
        folders: what a container has to see.
    """
    call = ["-m", "datatrove.tools.launch_pickled_pipeline", str(pickle)]
    if needs.image is None:
        words = [python, *call]
    elif _APPTAINER.fullmatch(needs.image):
        binds = [word for folder in folders for word in ("--bind", str(folder))]
        gpus = ["--nv"] if needs.gpus else []
        words = ["apptainer", "exec", *gpus, *binds, "--pwd", str(folders[0]), needs.image, "python3", *call]
    else:
        mounts = ",".join(f"{folder}:{folder}" for folder in folders)
        words = [
            "srun", "--ntasks=1", f"--container-image={needs.image}", f"--container-mounts={mounts}",
            f"--container-workdir={folders[0]}", "python3", *call,
        ]  # fmt: skip
    return shlex.join(words)


def clock(seconds: int) -> str:
    """A time limit as Slurm writes it: days-hours:minutes:seconds."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}-{hours:02d}:{minutes:02d}:{rest:02d}"


def _quoted(value: str) -> str:
    return value if re.fullmatch(r"[\w@%+=:,./-]+", value) else '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
