"""Harm, by a text-classification model that the recipe names, many pairs at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from deepwriting.errors import ModelNotFoundError, RecipeError
from deepwriting.schema import is_rejected
from deepwriting.sections.cleaning import CleaningSection
from deepwriting.steps import reject

#: The model reads at most this much of query and answer (tokens), or what its own positions allow.
MAX_TOKENS = 512
#: Longest text given to the tokenizer (characters): 512 tokens are hardly ever more.
MAX_CHARS = 4_000


class HarmClassifier:
    """A sequence classifier from ``transformers``.

    Args:
        model: local folder or Hub id.

    Raises:
        ModelNotFoundError: if there is no such model, or it is no classifier.
    """

    def __init__(self, model: str):
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        from deepwriting.engines.quiet import quiet_transformers

        try:
            with quiet_transformers():
                self._tokenizer = AutoTokenizer.from_pretrained(model)
                self._network = AutoModelForSequenceClassification.from_pretrained(model).eval()
        except (OSError, ValueError) as error:
            raise ModelNotFoundError(f"harm model {model!r} cannot be loaded: {error}") from error
        config = self._network.config
        self.labels = [str(config.id2label[index]) for index in range(config.num_labels)]
        #: Models with several independent labels give each a probability of its own.
        self._independent = config.problem_type == "multi_label_classification" or config.num_labels == 1
        self._max_tokens = min(MAX_TOKENS, getattr(config, "max_position_embeddings", MAX_TOKENS))

    def require(self, labels: Sequence[str]) -> None:
        """Check that the model knows the labels of the recipe.

        Raises:
            RecipeError: naming those that it does not know.
        """
        if unknown := sorted(set(labels) - set(self.labels)):
            raise RecipeError(
                f"cleaning.harm_model_labels {unknown} are unknown to the model; allowed: {', '.join(self.labels)}"
            )

    def probabilities(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """The probability of every label for every text, in order."""
        import torch

        batch = self._tokenizer(
            [text[:MAX_CHARS] for text in texts],
            truncation=True,
            max_length=self._max_tokens,
            padding=True,
            return_tensors="pt",
        )
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask") if name in batch}
        with torch.inference_mode():
            logits = self._network(**inputs).logits.float()
        shares = logits.sigmoid() if self._independent else logits.softmax(-1)
        return [dict(zip(self.labels, row, strict=True)) for row in shares.tolist()]


def most_harmful(shares: Mapping[str, float], labels: Sequence[str]) -> tuple[str, float]:
    """The likeliest of the labels that reject, and its probability."""
    return max(((label, shares[label]) for label in labels), key=lambda item: item[1])


class HarmModel(PipelineStep):
    """Rejects pairs whose query or answer the model gives one of the recipe's labels.

    A batch waits until it is full; rows leave in the order in which they came. Reason and counter: ``harm_model``, else
    ``harm_model_none``.

    Args:
        settings: name of a source -> its cleaning settings; sources without a ``harm_model`` pass by.
    """

    type = "✎ - ANNOTATE"
    name = "☣ Harm model"

    def __init__(self, settings: Mapping[str, CleaningSection]):
        super().__init__()
        self.settings = dict(settings)
        self._models: dict[str, HarmClassifier] = {}

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Classify every document that is not rejected and pass all of them on."""
        waiting: list[Document] = []
        size = max((section.harm_model_batch for section in self.settings.values()), default=1)
        try:
            for doc in data:
                waiting.append(doc)
                if len(waiting) >= size:
                    yield from self._judged(waiting)
                    waiting = []
            yield from self._judged(waiting)
        finally:
            self._models.clear()

    def _judged(self, docs: list[Document]) -> list[Document]:
        by_source: dict[str, list[Document]] = {}
        for doc in docs:
            section = self.settings.get(doc.metadata.get("source", ""))
            if section and section.harm_model and not is_rejected(doc.metadata):
                by_source.setdefault(doc.metadata["source"], []).append(doc)
        for source, chosen in by_source.items():
            with self.track_time():
                self._judge(chosen, self.settings[source])
        return docs

    def _judge(self, docs: list[Document], settings: CleaningSection) -> None:
        model = self._model(settings)
        # Of equal length together: padding is work too.
        texts = [(doc, part, text) for doc in docs for part, text in _texts(doc)]
        texts.sort(key=lambda item: len(item[2]))
        for start in range(0, len(texts), settings.harm_model_batch):
            group = texts[start : start + settings.harm_model_batch]
            found = model.probabilities([text for _, _, text in group])
            for (doc, part, _), shares in zip(group, found, strict=True):
                label, share = most_harmful(shares, settings.harm_model_labels)
                if share >= settings.harm_model_threshold:
                    reject(doc, "harm_model", f"{part}: {label} with probability {share:.2f}")
        for doc in docs:
            self.stat_update("harm_model" if is_rejected(doc.metadata) else "harm_model_none")

    def _model(self, settings: CleaningSection) -> HarmClassifier:
        name = str(settings.harm_model)
        if name not in self._models:
            self._models[name] = HarmClassifier(name)
        self._models[name].require(settings.harm_model_labels)
        return self._models[name]


def _texts(doc: Document) -> Iterator[tuple[str, str]]:
    if doc.text.strip():
        yield "answer", doc.text
    if (query := doc.metadata.get("query")) and query.strip():
        yield "query", query
