"""SQL macros for invented texts: names, titles, bodies and addresses, combined from lists of literals.

A macro takes a hash, a BIGINT that is not negative, and uses its low bits first. Hosts and mail addresses are under
names that are reserved for examples, IP addresses are in ranges that are reserved for documentation.
"""

from dapkit.sandbox.data.sql import pick

PEOPLE: tuple[tuple[str, str, str, str], ...] = (
    ("Ana", "García Ruiz", "ana", "garcia"),
    ("José", "Núñez Ibáñez", "jose", "nunez"),
    ("Mia", "Schäfer", "mia", "schaefer"),
    ("Jörg", "Groß-Weiß", "joerg", "gross"),
    ("Zoë", "O'Connor", "zoe", "oconnor"),
    ("Liam", "MacDonald, Jr.", "liam", "macdonald"),
    ("Chloé", "L'Hôpital", "chloe", "lhopital"),
    ("François", "Lefèvre", "francois", "lefevre"),
    ("Søren", "Ångström", "soren", "angstrom"),
    ("Þóra", "Guðmundsdóttir", "thora", "gudmundsdottir"),
    ("Łukasz", "Wójcik", "lukasz", "wojcik"),
    ("Şebnem", "Çağlayan", "sebnem", "caglayan"),
    ("Nguyễn", "Thị Hằng", "nguyen", "hang"),
    ("Ольга", "Иванова", "olga", "ivanova"),
    ("Дмитрий", "Щукин", "dmitry", "shchukin"),
    ("Ελένη", "Παπαδοπούλου", "eleni", "papadopoulou"),
    ("محمد", "الحسيني", "mohamed", "alhusseini"),
    ("فاطمه", "رضایی", "fatemeh", "rezaei"),
    ("נועה", "לוי", "noa", "levi"),
    ("प्रिया", "शर्मा", "priya", "sharma"),
    ("சுந்தர்", "ராமன்", "sundar", "raman"),
    ("สมชาย", "ใจดี", "somchai", "jaidee"),
    ("芳", "王", "fang", "wang"),
    ("伟", "欧阳", "wei", "ouyang"),
    ("さくら", "渡邉", "sakura", "watanabe"),
    ("健太", "髙橋", "kenta", "takahashi"),
    ("민준", "김", "minjun", "kim"),
    ("Siân", "Llewellyn-Rhys", "sian", "llewellyn"),
    ("Māra", "Bērziņa", "mara", "berzina"),
    ("Kiri", "Te Whānau", "kiri", "tewhanau"),
    ("Amara", "Nwachukwu", "amara", "nwachukwu"),
    ("Björk", "af Klercker", "bjork", "klercker"),
)
"""Given name, family name, and both in ASCII letters."""

SUBJECTS = (
    *("Biology", "Organic Chemistry", "Linear Algebra", "World History", "Philosophy of Mind", "Macroeconomics"),
    *("Data Structures & Algorithms", "Marine Ecology", "Medieval Literature", "Nursing Practice", "Statistics"),
    *("Linguistique générale", "Histoire de l’art", "Química Orgánica", "Cálculo III", "Einführung in die Ethik"),
    *("Thermodynamik", "Русская литература", "線形代数", "中国古代史", "한국어 회화", "مبادئ الاقتصاد", "גאומטריה"),
    *("भारतीय दर्शन", "Te Reo Māori", "Welding <Advanced>", 'Music: "Fugue & Canon"', "C++ / Rust", "Sociology"),
    *("Urban Planning", "Creative Writing", "Astronomy", "Physical Education"),
)
TOPICS = (
    *("photosynthesis", "the causes of the war", "supply and demand", "a proof by induction", "cell division"),
    *("the reading for week 3", "binary search trees", "la poésie moderne", "die Grundgesetze", "el ensayo final"),
    *("the lab report", "chapter 7", "your group's poster", "Newton’s second law", "probability", "the syllabus"),
    *("кинетическая энергия", "三国演义", "場の理論", "فصل الشتاء", "ethics", "entropy", "the tides", "sampling bias"),
    *("Σ and ∏", "the midterm", "peer review", "the field trip", "citations (APA 7)", "the sonnet", "tempo", "osmosis"),
)
OPENINGS = (
    *("Please read", "We will discuss", "Summarise", "I enjoyed", "Could someone explain", "Compare and contrast"),
    *("In this module we study", "Before class, look at", "Don't forget", "My notes on", "There is a quiz about"),
    *("Write 500 words on", "Veuillez lire", "Por favor, revisa", "Bitte bearbeitet", "I disagree about"),
    *("Great work on", "See me about", "The video covers", "Here is a summary of", "Your draft lacks", "Prepare"),
    *("Share one example of", "Let's revisit", "Think about", "Questions on", "Watch the recording on", "Upload"),
    *("Проверьте", "请阅读", "復習してください:", "Consider"),
)
CLOSINGS = (
    *("before Friday.", "and cite two sources.", "in your own words.", "— thanks!", "by 11:59 PM.", "(10 points)"),
    *("with your group.", "as we said in class.", "😀", "and post a reply.", "s'il vous plaît.", "para el lunes."),
    *("bis morgen.", "if you have time;", "— it is worth 15 % of the grade.", "and bring a calculator."),
    *(
        "👩🏽‍🔬 in the lab.",
        "twice.",
        "using the template.",
        "without notes.",
        "at home.",
        "in pairs.",
        "and explain why.",
    ),
    *("today?", "using R or Python.", "as a PDF.", "& nothing else.", "to pass.", "in section B.", "on page 42."),
    *("again!", "please."),
)
NASTY = (
    "",
    " ",
    "NULL",
    "\\N",
    "null",
    "N/A",
    "tab\there\tand\tthere",
    "two\nlines",
    "dos\r\nlines\r\n",
    "old\rmac",
    'a "quoted" word',
    '"',
    '""',
    "it's, well, comma, separated",
    "back\\slash \\n \\t \\\\ \\q \\x41 \\",
    "😀 👩🏽‍🔬 🏳️‍🌈 𝒳",
    "e\u0301 is not é",
    "\u202eright to left\u202c",
    "zero\u200bwidth, no\u00a0break, line\u2028separator",
    "form\ffeed, vertical\vtab, back\bspace, bell\a, escape\x1b",
    '{"json": "in a \\"string\\"", "n": null}',
    "[1, 2, 3]",
    "<p>unclosed &amp; <b>bold</p>",
    "=cmd|' /C calc'!A0",
    "'; DROP TABLE users; --",
    "%s %d {} ${x} {{y}}",
    "true",
    "0123",
    "1e9",
    "NaN",
    "2024-02-30T25:61:61Z",
    "\ufeffbyte order mark",
)
"""Valid texts that break careless readers and writers."""


def macros() -> tuple[str, ...]:
    """Return the statements that create the macros in a new database."""
    given, family, given_plain, family_plain = zip(*PEOPLE, strict=True)
    bodies = {
        "given_name(h)": pick(given, "h"),
        "family_name(h)": pick(family, "h"),
        "full_name(h)": "given_name(h) || ' ' || family_name(h + (h >> 5) % 3)",
        "sortable_name(h)": "family_name(h + (h >> 5) % 3) || ', ' || given_name(h)",
        "login(h, n)": f"{pick(given_plain, 'h')} || '.' || {pick(family_plain, '(h + (h >> 5) % 3)')} || n",
        "mail(h, n)": "login(h, n) || (['@example.edu', '@students.example.edu', '@example.org'])[1 + (h >> 9) % 3]",
        "subject(h)": pick(SUBJECTS, "h"),
        "title(h)": _choices(
            "h % 4",
            "subject(h >> 2) || ' ' || (100 + (h >> 12) % 400)",
            f"'Week ' || (1 + (h >> 12) % 15) || ': ' || {pick(TOPICS, '(h >> 2)')}",
            f"{pick(OPENINGS, '(h >> 2)')} || ' ' || {pick(TOPICS, '(h >> 8)')}",
            "subject(h >> 2) || ' – ' || subject(h >> 12)",
        ),
        "sentence(h)": " || ' ' || ".join((pick(OPENINGS, "h"), pick(TOPICS, "(h >> 5)"), pick(CLOSINGS, "(h >> 10)"))),
        "remark(h)": "sentence(h) || CASE WHEN (h >> 15) % 3 = 0 THEN '' ELSE ' ' || sentence(h >> 17) END",
        "html(h)": (
            "'<p>' || remark(h) || '</p>' || CASE (h >> 40) % 4 "
            "WHEN 0 THEN '<ul><li>' || sentence(h >> 20) || '</li><li>' || sentence(h >> 33) || '</li></ul>' "
            "WHEN 1 THEN '<p><a href=\"' || url(h >> 7) || '\">' || subject(h >> 9) || '</a>&nbsp;' "
            "|| sentence(h >> 36) || '</p>\n<p>' || remark(h >> 27) || '</p>' "
            "WHEN 2 THEN '<blockquote>' || remark(h >> 22) || '</blockquote>' ELSE '' END"
        ),
        "url(h)": "'https://' || (['college', 'files', 'video', 'tools'])[1 + h % 4] || '.example.edu/' || "
        f"{pick(('courses', 'pages', 'media', 'learn/a%20b', 'f'), '(h >> 2)')} || '/' || (h >> 6) % 1000000 || "
        "(['', '?v=2&t=10', '#top', '?q=caf%C3%A9'])[1 + (h >> 30) % 4]",
        "uuid_text(h, g)": "format('{:08x}-{:04x}-4{:03x}-{:x}{:03x}-{:012x}', h % 4294967296, (h >> 32) % 65536, "
        "(h >> 48) % 4096, 8 + g % 4, (g >> 2) % 4096, (g >> 14) % 281474976710656)",
        "hexadecimal(h)": "format('{:016x}', h)",
        "json_text(h)": _choices(
            "h % 4",
            "'{\"id\":' || (h >> 4) % 100000 || ',\"text\":' || to_json(sentence(h >> 8)) || ',\"ok\":true}'",
            "'[' || (h >> 4) % 10 || ',' || (h >> 8) % 1000 || ',null,{\"a\":[]}]'",
            "'{\"rating\":' || (h >> 4) % 50 / 10 || ',\"name\":' || to_json(subject(h >> 9)) || '}'",
            "'{}'",
        ),
        "nasty(h)": pick(NASTY, "h"),
        "ipv4(h)": "(['192.0.2.', '198.51.100.', '203.0.113.'])[1 + h % 3] || (h >> 2) % 256",
        "ipv6(h)": "'2001:db8:' || format('{:x}:{:x}::{:x}', h % 65536, (h >> 16) % 65536, 1 + (h >> 32) % 65535)",
    }
    return tuple(f"CREATE MACRO {name} AS {body}" for name, body in bodies.items())


def _choices(selector: str, *branches: str) -> str:
    cases = " ".join(f"WHEN {number} THEN {branch}" for number, branch in enumerate(branches))
    return f"CASE {selector} {cases} END"
