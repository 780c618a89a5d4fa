"""Redaction removes everything secret and keeps the rest."""

import pytest

from dapkit.protocol.redaction import display_url, escaped, excerpt, printable, redact

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3MDAwMDAwMDB9.c2VjcmV0c2VjcmV0"


@pytest.mark.parametrize(
    "text",
    [
        "GET https://store.example/a/b.gz?X-Amz-Signature=SECRET&x=1 failed",
        "url='https://store.example/a?sig=SECRET'",
        '{"url": "https:\\/\\/store.example\\/a?SECRET"}',
        "https://store.example/a#SECRET",
        "proxy http://user:SECRET@proxy.example:3128 refused",
        "Authorization: Basic U0VDUkVUOlNFQ1JFVA==SECRET",
        "authorization=Bearer abc.SECRET.def",
        "the header Bearer SECRET12 was bad",
        '{"access_token": "SECRET", "expires_in": 3600}',
        '{"access_token":"SECRET"}',
        "client_secret=SECRET&grant_type=x",
        "X-Amz-Security-Token=SECRET&a=b",
        "X-Amz-Credential: SECRET",
        "Signature=SECRET",
        "x-instauth: SECRET",
    ],
)
def test_secrets_are_hidden(text: str) -> None:
    assert "SECRET" not in redact(text)


def test_tokens_are_hidden_everywhere() -> None:
    assert redact(f"token {JWT} is bad") == "token [hidden] is bad"
    assert JWT[:12] not in redact(f"cut {JWT[:40]}")


def test_the_beginning_of_a_truncated_secret_is_hidden() -> None:
    assert redact("the key is abcdefg…", "abcdefghij") == "the key is [hidden]…"
    assert redact("the key is abcdefg and more…", "abcdefghij") == "the key is abcdefg and more…"
    assert redact("words: abc…", "abcdefghij") == "words: abc…"


def test_control_characters_are_removed() -> None:
    assert printable("a\x1b[2Jb\x9bc\r\nd ä") == "a [2Jb c d ä"


def test_known_secrets_are_hidden() -> None:
    assert redact("the key is abc", "abc", "") == "the key is [hidden]"


@pytest.mark.parametrize(
    "text",
    ["The table courses is not known.", "https://store.example/a/b.gz", "HTTP 404: basic truth", "time: 12:30 a@b"],
)
def test_other_text_is_kept(text: str) -> None:
    assert redact(text) == text


def test_control_characters_can_be_escaped() -> None:
    assert escaped("a\x1b[2Jb\x9bc\r\nd\u2028ä") == "a\\x1b[2Jb\\x9bc\\r\\nd\\u2028ä"


def test_an_excerpt_is_one_short_line() -> None:
    assert excerpt(b"a\r\n\x1b[31m  b\xff") == "a [31m b\ufffd"
    assert excerpt("x" * 500, 10) == "x" * 9 + "…"
    assert excerpt("short", 10) == "short"


def test_an_excerpt_redacts_before_it_truncates() -> None:
    url = "https://store.example/" + "p" * 100 + "?sig=SECRET"
    assert "SECRET" not in excerpt(url, 110)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example:8443/b/c?d=e#f", "https://a.example:8443/b/c"),
        ("https://user:pw@a.example/b", "https://a.example/b"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("/path?x=y", "/path"),
        ("https://[bad", "an invalid URL"),
    ],
)
def test_display_url(url: str, expected: str) -> None:
    assert display_url(url) == expected
