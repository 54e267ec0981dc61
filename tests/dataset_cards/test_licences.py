from __future__ import annotations

import pytest

from deepwriting.dataset_cards.licences import HUB_LICENCES, licence_asks, licence_fields, licence_url


@pytest.mark.parametrize(
    ("licences", "fields"),
    [
        (["MIT"], {"license": "mit"}),
        (["mit", "MIT"], {"license": "mit"}),
        (["odc-by", "Apache 2.0"], {"license": ["apache-2.0", "odc-by"]}),
        (["Public domain (US)"], {"license": "other", "license_name": "public-domain-us"}),
        (["mit", "see its card"], {"license": ["mit", "other"], "license_name": "see-its-card"}),
        (["unknown"], {"license": "unknown"}),
        (["!!!"], {"license": "other", "license_name": "unnamed"}),
    ],
)
def test_the_hub_gets_identifiers_where_it_has_them(licences: list[str], fields: dict[str, object]) -> None:
    assert licence_fields(licences) == fields


@pytest.mark.parametrize(
    ("name", "asks"),
    [
        ("CC0-1.0", "nothing"),
        ("cc-by-4.0", "name the author"),
        ("CC BY-NC-ND 4.0", "name the author; no commercial use; no changed versions"),
        ("mit", "keep the notices"),
        ("public domain in the USA", "nothing, where it is in the public domain"),
        ("my own terms", "see the source"),
    ],
)
def test_what_a_licence_asks_for(name: str, asks: str) -> None:
    assert licence_asks(name) == asks


def test_only_single_licences_have_a_text() -> None:
    assert licence_url("CC BY 4.0") == "https://spdx.org/licenses/CC-BY-4.0.html"
    assert licence_url("cc") is licence_url("my own terms") is None
    assert all(licence_asks(name) for name in HUB_LICENCES)
