"""How many rows each table has, which parent they belong to, and what happens to them: the shape of a small college.

One line describes a table. A table without a line gets a modest default population, so that a table that is new in the
catalogue works at once. The numbers are for scale 1, ten years after the origin.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from dapkit.sandbox.data.timeline import DAY, HOUR, Event

SEATS = 22
"""People in a course: a teacher, an assistant, and the students."""
STAFF = 2
STUDENTS = SEATS - STAFF

EDITED = (
    Event(lag=DAY, share=0.5),
    Event(lag=9 * DAY, share=0.3),
    Event(lag=40 * DAY, share=0.15),
    Event(lag=70 * DAY, period=91 * DAY, share=0.4),
)
"""What happens to most rows: corrections soon after birth, then an occasional change forever."""
STEADY = (Event(lag=2 * HOUR, jitter=HOUR, share=0.1), Event(lag=30 * DAY, share=0.05))
"""What happens to rows that are written once and rarely changed."""
USED = (Event(lag=3 * DAY, share=0.9), Event(lag=5 * DAY, jitter=DAY, period=28 * DAY, share=0.35))
"""What happens to things that people use: they change every month."""
WORKED = (
    Event(lag=6 * DAY, jitter=DAY, share=0.92),
    Event(lag=11 * DAY, jitter=DAY, share=0.85),
    Event(lag=15 * DAY, share=0.2),
)
"""What happens to coursework: it is submitted, graded, and sometimes graded again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """A table's rows: `rows` in total, or `per_parent` for each row of a `parent` table.

    `initial` rows exist from the origin; there are never more than `limit`. `deleted` is the share of rows that is
    deleted two months after birth. A population that is not `scaled` is the same at every scale. `retention` is for
    logs: rows disappear that long after birth, in milliseconds.
    """

    rows: float = 200
    parent: str | None = None
    per_parent: Fraction = Fraction(1)
    scaled: bool = True
    initial: int = 1
    limit: int | None = None
    events: tuple[Event, ...] = EDITED
    deleted: float = 0.03
    retention: int | None = None


def _independent(rows: float, events: tuple[Event, ...] = EDITED) -> Population:
    return Population(rows=rows, events=events)


def _fixed(rows: float, initial: int) -> Population:
    return Population(rows=rows, initial=initial, scaled=False, deleted=0)


def _of(
    parent: str, per_parent: int | str = 1, events: tuple[Event, ...] = EDITED, namespace: str = "canvas"
) -> Population:
    return Population(parent=f"{namespace}.{parent}", per_parent=Fraction(per_parent), events=events)


def _of_catalog(parent: str, per_parent: int | str = 1) -> Population:
    return _of(parent, per_parent, namespace="catalog")


POPULATIONS: Mapping[str, Population] = {
    "canvas.accounts": _fixed(14, initial=6),
    "canvas.roles": _fixed(14, initial=8),
    "canvas.enrollment_terms": _fixed(30, initial=1),
    "canvas.developer_keys": _fixed(25, initial=5),
    "canvas.grading_standards": _fixed(12, initial=2),
    "canvas.custom_grade_statuses": _fixed(1, initial=2),  # Canvas allows three
    "canvas.users": Population(rows=3000, initial=60, events=USED),
    # One to log in with, and an inactive one of the identity service.
    "canvas.pseudonyms": _of("users", 2, USED),
    "canvas.communication_channels": _of("users", "4/3"),
    "canvas.user_account_associations": _of("users"),
    "canvas.access_tokens": _of("users", "1/8", USED),
    "canvas.courses": Population(rows=300, initial=2),
    "canvas.wikis": replace(_of("courses"), deleted=0),
    "canvas.course_sections": _of("courses"),
    "canvas.course_account_associations": _of("courses"),
    "canvas.enrollments": _of("courses", SEATS, USED),
    "canvas.enrollment_states": _of("enrollments", 1, USED),
    "canvas.scores": _of("enrollments", 1, USED),
    "canvas.late_policies": _of("courses"),
    "canvas.folders": _of("courses", 4),
    "canvas.attachments": _of("courses", 30, STEADY),
    "canvas.assignment_groups": _of("courses", 3),
    "canvas.assignments": _of("courses", 8),
    "canvas.assignment_overrides": _of("assignments", "1/4"),
    "canvas.assignment_override_students": _of("assignment_overrides", 2),
    "canvas.post_policies": _of("assignments"),
    "canvas.score_statistics": _of("assignments", 1, WORKED),
    "canvas.submissions": _of("assignments", STUDENTS, WORKED),
    "canvas.submission_versions": _of("submissions", "3/4", STEADY),
    "canvas.submission_comments": _of("submissions", "1/4", STEADY),
    "canvas.content_participations": _of("submissions", "1/2", STEADY),
    "canvas.content_participation_counts": _of("courses", STUDENTS, USED),
    "canvas.originality_reports": _of("submissions", "1/8", STEADY),
    "canvas.canvadocs_annotation_contexts": _of("submissions", "1/16", STEADY),
    "canvas.attachment_associations": _of("attachments", "1/2", STEADY),
    "canvas.quizzes": _of("courses", 2),
    "canvas.quiz_groups": _of("quizzes"),
    "canvas.quiz_questions": _of("quizzes", 10),
    "canvas.quiz_submissions": _of("quizzes", STUDENTS, WORKED),
    "canvas.assessment_question_banks": _of("courses", 1),
    "canvas.assessment_questions": _of("assessment_question_banks", 8),
    "canvas.discussion_topics": _of("courses", 5),
    "canvas.discussion_entries": _of("discussion_topics", 9, STEADY),
    "canvas.discussion_entry_participants": _of("discussion_entries", 2, STEADY),
    "canvas.discussion_topic_participants": _of("discussion_topics", STUDENTS, STEADY),
    "canvas.context_modules": _of("courses", 4),
    "canvas.context_module_progressions": _of("context_modules", STUDENTS, WORKED),
    "canvas.content_tags": _of("context_modules", 6),
    "canvas.wiki_pages": _of("courses", 6),
    "canvas.accessibility_issues": _of("courses", 10),
    "canvas.accessibility_resource_scans": _of("courses", 20),
    "canvas.calendar_events": _of("courses", 4),
    "canvas.asset_user_accesses": _of("courses", 80, USED),
    "canvas.group_categories": _of("courses", "1/2"),
    "canvas.groups": _of("group_categories", 4),
    "canvas.group_memberships": _of("groups", 5),
    "canvas.context_external_tools": _of("courses", "1/4"),
    "canvas.custom_gradebook_columns": _of("courses", "1/4"),
    "canvas.custom_gradebook_column_data": _of("custom_gradebook_columns", STUDENTS),
    "canvas.rubrics": _of("courses"),
    "canvas.rubric_associations": _of("rubrics", 2),
    "canvas.rubric_assessments": _of("rubric_associations", 10, STEADY),
    "canvas.learning_outcomes": _independent(150),
    "canvas.learning_outcome_results": _of("courses", 10, STEADY),
    "canvas.learning_outcome_question_results": _of("learning_outcome_results", 2, STEADY),
    "canvas.conversations": _independent(2500),
    "canvas.conversation_messages": _of("conversations", 3, STEADY),
    "canvas.conversation_participants": _independent(6000, USED),
    "canvas.conversation_message_participants": _of("conversation_messages", 2, STEADY),
    "canvas.content_migrations": _of("courses", "1/2"),
    "canvas.favorites": _independent(2000),
    "canvas.web_conferences": _of("courses", 2),
    "canvas.web_conference_participants": _of("web_conferences", 6),
    "canvas.grading_periods": _of("grading_period_groups", 4),
    "canvas.master_courses_child_content_tags": _of("master_courses_child_subscriptions", 12),
    "canvas.lti_results": _of("lti_line_items", 8, STEADY),
    "canvas.outcome_proficiency_ratings": _of("outcome_proficiencies", 5),
    # About 45,000 rows at any time: those of the last 30 days.
    "canvas_logs.web_logs": Population(rows=5_500_000, events=(), deleted=0, retention=30 * DAY),
    "catalog.accounts": _fixed(6, initial=3),
    "catalog.users": _independent(900, USED),
    "catalog.products": _independent(150),
    "catalog.orders": _independent(1200),
    "catalog.order_items": _of_catalog("orders", "5/4"),
    "catalog.payments": _of_catalog("orders"),
    "catalog.enrollments": _of_catalog("order_items"),
    "catalog.carts": _independent(1500),
    "catalog.cart_items": _of_catalog("carts", "4/3"),
    "catalog.product_images": _of_catalog("products"),
    "catalog.program_requirements": _of_catalog("products", "1/2"),
    "new_quizzes.quizzes": _independent(300),
    "new_quizzes.quiz_questions": _of("quizzes", 8, namespace="new_quizzes"),
    "new_quizzes.quiz_submissions": _of("quizzes", 15, WORKED, namespace="new_quizzes"),
    "new_quizzes.assessment_questions": _independent(1500),
    "edge.empty": Population(limit=0, scaled=False, events=(), deleted=0),
    "edge.single": Population(limit=1, scaled=False, deleted=0),
    "edge.evolving": Population(rows=8000, initial=40, scaled=False, events=USED, deleted=0.05),
    "edge.long_rows": Population(rows=12, initial=4, scaled=False),
}

DEFAULT = Population()
EDGE = Population(rows=400, initial=40, scaled=False, events=USED, deleted=0.05)


def population(qualified: str) -> Population:
    """Return the population of a table, given its name with namespace."""
    return POPULATIONS.get(qualified, EDGE if qualified.startswith("edge.") else DEFAULT)
