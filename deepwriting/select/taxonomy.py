"""The 25 categories in 8 domains.

The paper counts 25 manually nominated categories and names only Artistic (Literature and Arts) with Creative Writing
and Essay Writing, and Ordinary Life; six of the domains are those of WritingBench. The other names are ours.
``docs/taxonomy.md`` describes each; there is no category for what is left over.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Domain -> its categories, each with what belongs into it.
TAXONOMY: Mapping[str, Mapping[str, str]] = {
    "Artistic (Literature & Arts)": {
        "Creative Writing": "short stories, scenes, flash fiction and chapters of novels",
        "Essay Writing": "personal, reflective and argumentative essays",
        "Poetry & Lyrics": "poems, song texts, couplets",
        "Script & Dialogue": "scenes for stage, film, radio or games, and written conversations",
        "Fan Fiction & World-Building": "stories in existing worlds, and descriptions of invented ones",
        "Review & Criticism": "reviews of books, films, music, exhibitions or games",
    },
    "Academic & Engineering": {
        "Academic Paper": "abstracts, introductions, discussions and other parts of scholarly papers",
        "Technical Documentation": "manuals, how-to guides, specifications, README files",
        "Research Proposal & Report": "proposals, literature overviews, laboratory and project reports",
    },
    "Finance & Business": {
        "Business Plan & Proposal": "plans, pitches, tenders, offers",
        "Market & Financial Analysis": "analyses of markets, companies, investments or budgets",
        "Workplace Communication": "emails, memos, minutes, announcements, job applications",
    },
    "Politics & Law": {
        "Policy & Government Writing": "policy papers, official notices, public reports",
        "Legal Writing": "contracts, clauses, terms, complaints, explanations of rights",
        "Speech & Debate": "speeches, addresses, toasts, debate cases",
    },
    "Education": {
        "Lesson Plan & Teaching Material": "lesson plans, exercises, worksheets, course outlines",
        "Study Guide & Explanation": "explanations of a topic for learners, summaries, revision notes",
        "Evaluation & Feedback": "reports on pupils, comments on work, letters of recommendation",
    },
    "Advertising & Marketing": {
        "Advertising Copy": "advertisements, slogans, product descriptions, landing pages",
        "Social Media Content": "posts, captions, threads, blog entries, video descriptions",
    },
    "Ordinary Life": {
        "Everyday Advice": "advice on home, health, family, money and relationships",
        "Letters & Greetings": "private letters, invitations, wishes, thanks, condolences",
        "Travel & Food": "travel descriptions, itineraries, recipes, restaurant portraits",
    },
    "Knowledge & Media": {
        "News & Journalism": "news reports, features, interviews, opinion columns",
        "Popular Science": "science, history and technology for general readers",
    },
}

#: The 25 categories in the order of the taxonomy.
CATEGORIES: tuple[str, ...] = tuple(name for categories in TAXONOMY.values() for name in categories)
#: Category -> its domain.
DOMAIN_OF: Mapping[str, str] = {name: domain for domain, names in TAXONOMY.items() for name in names}
