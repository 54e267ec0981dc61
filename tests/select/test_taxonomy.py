from __future__ import annotations

from deepwriting.select.taxonomy import CATEGORIES, DOMAIN_OF, TAXONOMY


def test_the_paper_counts_25_categories() -> None:
    assert len(CATEGORIES) == len(set(CATEGORIES)) == 25
    assert len(TAXONOMY) == 8


def test_the_names_that_the_paper_gives() -> None:
    assert DOMAIN_OF["Creative Writing"] == DOMAIN_OF["Essay Writing"] == "Artistic (Literature & Arts)"
    assert "Ordinary Life" in TAXONOMY


def test_every_category_has_one_domain_and_a_description() -> None:
    assert tuple(DOMAIN_OF) == CATEGORIES
    for domain, categories in TAXONOMY.items():
        assert categories
        for name, description in categories.items():
            assert DOMAIN_OF[name] == domain
            assert description
            assert description[0] != " "


def test_no_category_is_the_beginning_of_another() -> None:
    # The classifier compares likelihoods of names: a name inside another one could only win.
    assert not [(a, b) for a in CATEGORIES for b in CATEGORIES if a != b and b.startswith(a)]
