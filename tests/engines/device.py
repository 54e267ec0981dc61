"""The device of the transformers engine in these tests: the CPU, or what ``DEEPWRITING_TEST_DEVICE`` names."""

from __future__ import annotations

import os

#: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``. What is compared with stays on the CPU.
DEVICE = os.environ.get("DEEPWRITING_TEST_DEVICE", "cpu")
