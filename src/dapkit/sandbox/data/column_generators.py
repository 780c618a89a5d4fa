"""SQL templates for the values of columns, chosen by the name of the column. The first rule that matches wins.

A template may use the columns of the row (`i`, `age`, `born`, `ts`, `deleted`, `e0`…: see the module `rows`) and these
placeholders: `$h`, a hash of row and column; `$v`, the same, but different after every change of the row; `$p`, a hash
of the person to whom the row belongs, and `$n`, the number of this person (the row's own if there is no person); `$u`,
the number of the user whom a row of a user or of a course is about.
"""

import re
from collections.abc import Mapping

from dapkit.sandbox.data.population import POPULATIONS, SEATS
from dapkit.sandbox.data.sql import literal, pick

_JSON = "json_text($h)"
_CHOICE = pick(("standard", "custom", "default", "other"), "$h")
_MIDNIGHT = "((born // 86400000) + 7 + $h % 110) * 86400000 + 86399000"
_LOCALES = ("en", "en-GB", "es", "fr-CA", "de", "zh-Hans", "ja", "ar", "he", "mi", "pt-BR")
_ZONES = ("America/Denver", "Europe/Berlin", "Asia/Kolkata", "Pacific/Auckland", "UTC", "America/St_Johns")
_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "student-app/7.2 (Android 14; Pixel 8; \u0635\u0641\u062d\u0629)",
    "curl/8.7.1",
)
_TYPES = ("application/pdf", "image/png", "image/jpeg", "text/plain; charset=utf-8", "video/mp4", "text/x-c++")
_GRADES = ("A", "A-", "B+", "B", "C", "F", "complete", "incomplete", "87.5", "100", "0", "12 %")
_ROLES = (
    *("TeacherEnrollment", "TaEnrollment", "DesignerEnrollment", "ObserverEnrollment", "StudentEnrollment"),
    *("AccountAdmin", "AccountMembership", "NoPermissions"),
)
_PERMISSIONS = ("read_reports", "manage_grades", "send_messages", "become_user", "view_statistics")
_FILE = "replace(lower(subject($h)), ' ', '_') || '_' || $h % 1000 || "
_FILE += pick((".pdf", ".png", ".docx", ".mp4"), "($h >> 9)")


Rules = Mapping[re.Pattern[str], str]
"""SQL templates by the pattern that a column's complete name must match; the order matters."""


def _compile(rules: Mapping[str, str]) -> Rules:
    return {re.compile(pattern): sql for pattern, sql in rules.items()}


TEXTS = _compile(
    {
        "sortable_name": "sortable_name($p)",
        "user_name|author_name": "full_name($p)",
        "short_name": "given_name($p)",
        "school_name": "'College of ' || subject($h)",
        "email|email_address|unique_id|(created|updated|published)_by": "mail($p, $n)",
        ".*uuid|.*guid|lti_(context|user)_id|launch_id|resource_id|link_id": "uuid_text($h, hash($h) >> 2)",
        "sis_(source|user)_id|integration_id": "'SIS-' || lpad(i::VARCHAR, 7, '0')",
        "anonymous_id": "hexadecimal($h)[1:5]",
        ".*_id|md5": "'i' || hexadecimal($h)",
        ".*_ids": "'[' || $h % 900 || ',' || ($h >> 10) % 900 || ']'",
        ".*(url|uri|link)": "url($h)",
        ".*urls?|.*(host|domain)": "'college' || i % 7 || '.example.edu'",
        "(.*_)?path": "lower(replace(subject($h), ' ', '-')) || '-' || i",
        ".*_ip|ip_filter": "ipv4($h)",
        "(default_)?locale": pick(_LOCALES, "$h"),
        ".*time_zone.*": pick(_ZONES, "$h"),
        "color": "'#' || hexadecimal($h)[1:6]",
        "user_agent": pick(_AGENTS, "$h"),
        ".*content_type": pick(_TYPES, "$h"),
        ".*file_?name": _FILE,
        "allowed_extensions": pick(("pdf", "pdf,docx", "png,jpg,jpeg", "py,ipynb"), "$h"),
        "license": pick(("private", "cc_by", "cc_by_sa", "public_domain"), "$h"),
        "(published_)?grade": pick(_GRADES, "$v"),
        "course_code": "upper(left(subject($h), 3)) || '-' || (100 + i % 400)",
        "course_format": pick(("on_campus", "online", "blended"), "$h"),
        "permission": pick(_PERMISSIONS, "$h"),
        "currency": pick(("USD", "EUR", "GBP", "NZD"), "$h"),
        "code|.*_code|sku|token|.*_key": "upper(hexadecimal($h)[1:10])",
        "pronouns": pick(("she/her", "he/him", "they/them", "ze/hir", "elle"), "$h"),
        "late_submission_interval": pick(("day", "hour"), "$h"),
        "late_policy_status|cached_tardiness": pick(("late", "missing", "extended", "none"), "$v"),
        "path_type": pick(("email", "email", "sms", "push"), "$h"),
        ".*(state|status|progress)|visibility": pick(("active", "pending", "completed", "archived"), "$v"),
        "tags?|.*_tags": "lower(subject($h)) || ',' || lower(subject($h >> 9))",
        "location_address": "(1 + $h % 400) || ' College Way\nExampleville'",
        "css_content": "'body { color: #' || hexadecimal($h)[1:6] || '; }'",
        "settings|custom|custom_fields?|.*_(settings|configuration|params|overrides|changes|events|data)": _JSON,
        "extensions|data|public_jwk": _JSON,
        "body|message|description|syllabus_body|about|draft|published|header|footer": "html($v)",
        ".*(template|_body|_content)": "html($v)",
        "comments?|notes|.*description|question_text|.*_comments|content|.*(message|error)": "remark($h)",
        ".*(name|title|label|subject|feature|teaser|text)": "title($h)",
        ".*(type|types|level|policy|view|source|setting|scheme|results|role|roles)|purpose": _CHOICE,
        ".*": "subject($h)",
    }
)

INTEGERS = _compile(
    {
        "position|list_order|sequence|depth": "1 + $h % 30",
        ".*_id": "1 + $h % 500",
        ".*attempts?|.*version": "1 + $v % 4",
        ".*quota|.*size": "(1 + $h % 4096) * 262144",
        ".*micros": "1000 + $h % 4000000",
        ".*(seconds|time).*": "$v % 100000",
        ".*(limit|cap)|days_.*": "1 + $h % 200",
        ".*": "$v % 60",
    }
)

DATES = _compile(
    {
        "created_at|timestamp": "born",
        "updated_at|workflow_state_timestamp": "ts",
        "(due|lock|end|ends|expires|conclude|close|.*_due)_(at|date)|todo_date|.*_(until|expires_at|to)": _MIDNIGHT,
        "(start|unlock|posted|delayed_post|published).*": "((born // 3600000) + $h % 500) * 3600000",
        ".*": "born + $v % (ts - born + 1)",
    }
)
"""Milliseconds since 1970. Planned times are after birth; past ones are between birth and last change."""


def _by_seat(teacher: str, assistant: str, designer: str, observer: str, student: str) -> str:
    """Return SQL that depends on a person's seat in a course: staff first, an observer last."""
    return (
        f"CASE i % {SEATS} WHEN 0 THEN {teacher} WHEN 1 THEN CASE WHEN i % {2 * SEATS} = 1 THEN {assistant} "
        f"ELSE {designer} END WHEN {SEATS - 1} THEN {observer} ELSE {student} END"
    )


def _scanned(table: str) -> str:
    """Return SQL for the row of a course's content that a scan is about: no two scans are about the same."""
    per_course = POPULATIONS[f"canvas.{table}"].per_parent
    return f"i // {_SCANS} * {per_course} + i % {_SCANS} // 4"


_SCANS = POPULATIONS["canvas.accessibility_resource_scans"].per_parent
_FAILED_SCAN = "i % 23 = 0"
_LOGIN = "i % 2 = 0"  # the other pseudonym of each user is the inactive one of the identity service

COLUMNS: Mapping[str, str] = {
    "canvas.users.name": "full_name($p)",
    "catalog.account_admins.name": "full_name($h)",
    "catalog.applicants.name": "full_name($h)",
    "catalog.orders.name": "full_name($h)",
    "canvas.accounts.name": "CASE WHEN i = 0 THEN 'Example College' ELSE 'Department of ' || subject($h) END",
    "canvas.communication_channels.path": "mail($p, $n)",
    "canvas.enrollment_terms.name": "(['Fall', 'Spring', 'Summer'])[1 + i % 3] || ' ' || (2016 + (i + 1) // 3)",
    "canvas.enrollments.type": _by_seat(*map(literal, _ROLES[:5])),
    "canvas.roles.base_role_type": pick(_ROLES, "i"),
    "canvas.roles.name": f"CASE WHEN i < 8 THEN {pick(_ROLES, 'i')} ELSE 'Custom role ' || i END",
    "canvas.roles.workflow_state": "CASE WHEN i < 8 THEN 'built_in' ELSE 'active' END",
    "canvas.submissions.submitted_at": "make_timestamp(e0 * 1000)",
    "canvas.submissions.graded_at": "make_timestamp(e1 * 1000)",
    "canvas.submissions.score": "CASE WHEN e1 IS NULL THEN NULL ELSE $v % 10001 / 100 END",
    "canvas.accessibility_issues.node_path": "'./div/p[' || (1 + $h % 40) || ']/span'",
    "canvas.accessibility_resource_scans.workflow_state": (
        f"CASE WHEN {_FAILED_SCAN} THEN 'failed' ELSE {pick((*['completed'] * 8, 'queued', 'in_progress'), '$v')} END"
    ),
    "canvas.accessibility_resource_scans.error_message": "'The content could not be read'",
    "canvas.courses.tab_configuration": (
        """CASE WHEN $h % 3 > 0 THEN '[{"id":0},{"id":' || (1 + $h % 5) || '},{"id":8,"hidden":true}]' END"""
    ),
    "canvas.custom_grade_statuses.name": pick(("Carried over", "In dispute", "Oral exam"), "i"),
    "canvas.pseudonyms.unique_id": f"CASE WHEN {_LOGIN} THEN mail($p, $n) ELSE uuid_text($h, hash($h) >> 2) END",
    "canvas.pseudonyms.workflow_state": (
        f"CASE WHEN deleted THEN 'deleted' WHEN {_LOGIN} THEN 'active' ELSE 'unavailable' END"
    ),
    "canvas.pseudonyms.login_count": f"CASE WHEN {_LOGIN} THEN $v % 60 ELSE 0 END",
    "canvas.pseudonyms.failed_login_count": f"CASE WHEN {_LOGIN} THEN $v % 5 ELSE 0 END",
    "canvas.pseudonyms.is_inst_id": f"NOT ({_LOGIN})",
    "canvas.quiz_submissions.finished_at": "make_timestamp(e0 * 1000)",
    "canvas.quiz_submissions.score": "CASE WHEN e1 IS NULL THEN NULL ELSE $v % 2001 / 100 END",
    "canvas_logs.web_logs.http_method": pick((*["GET"] * 20, *["POST"] * 6, "PUT", "PATCH", "DELETE", "HEAD"), "$h"),
    "canvas_logs.web_logs.http_status": (
        "([200, 200, 200, 200, 200, 200, 200, 302, 304, 201, 401, 404, 422, 500])[1 + $h % 14]"
    ),
}
"""Templates of single columns, for which the name is not enough."""

TARGET_ROWS: Mapping[str, str] = {
    "canvas.enrollments.role_id": _by_seat("0", "1", "2", "3", "4"),
    "canvas.accounts.parent_account_id": "CASE WHEN i > 0 THEN i // 3 END",
    "catalog.accounts.parent_id": "CASE WHEN i > 0 THEN 0 END",
    "canvas.accessibility_issues.root_account_id": "0",
    "canvas.accessibility_resource_scans.root_account_id": "0",
    "canvas.custom_grade_statuses.root_account_id": "0",
    "canvas.accessibility_resource_scans.wiki_page_id": _scanned("wiki_pages"),
    "canvas.accessibility_resource_scans.assignment_id": _scanned("assignments"),
    "canvas.accessibility_resource_scans.attachment_id": _scanned("attachments"),
    "canvas.accessibility_resource_scans.discussion_topic_id": _scanned("discussion_topics"),
    "canvas.communication_channels.pseudonym_id": "2 * $u",
    "canvas.enrollments.sis_pseudonym_id": "2 * $u",
}
"""The number of the row that a column refers to, where it is a particular one."""

PRESENT: Mapping[str, str] = {
    "canvas.accessibility_issues.wiki_page_id": "i % 5 < 3",
    "canvas.accessibility_issues.assignment_id": "i % 5 = 3",
    "canvas.accessibility_issues.attachment_id": "i % 5 = 4",
    "canvas.accessibility_resource_scans.wiki_page_id": "i % 4 = 0",
    "canvas.accessibility_resource_scans.assignment_id": "i % 4 = 1",
    "canvas.accessibility_resource_scans.attachment_id": "i % 4 = 2",
    "canvas.accessibility_resource_scans.discussion_topic_id": "i % 4 = 3",
    "canvas.accessibility_resource_scans.error_message": _FAILED_SCAN,
    "canvas.custom_grade_statuses.deleted_by_id": "deleted",
    "canvas.submissions.custom_grade_status_id": "e1 IS NOT NULL AND $h % 40 = 0",
    **{
        f"canvas.pseudonyms.{name}": f"{_LOGIN} AND ($h >> 40) % 8 > 0"
        for name in (
            *("sis_user_id", "sis_batch_id", "integration_id", "last_request_at", "last_login_at", "current_login_at"),
            *("last_login_ip", "current_login_ip"),
        )
    },
}
"""When a nullable column has a value, where that is not left to chance."""


def template_for(rules: Rules, name: str) -> str:
    """Return the template of the first rule that matches a column's name."""
    return next(sql for pattern, sql in rules.items() if pattern.fullmatch(name))
