"""What is hidden in texts: whatever form a secret comes in that can be told from the text alone."""

from __future__ import annotations

import time

import pytest

from mainspring.model.redact import redacted, without_credentials

KEY = "msk_019ca8a03e807d8e91b7584a2265b1f5_Say1Z5gTY4-q3mUWc"
TOLD = {
    "login failed: password=hunter2, retrying": "login failed: password=[redacted], retrying",
    "host=db user=me password='hunter 2' sslmode=require": "host=db user=me password=[redacted] sslmode=require",
    "PGPASSWORD=hunter2 psql": "PGPASSWORD=[redacted] psql",
    'call(api_key="hunter2", n=1)': "call(api_key=[redacted], n=1)",
    "--client-secret=hunter2 --page=2": "--client-secret=[redacted] --page=2",
    "bad options {'db': 'a', 'password': 'hunter2'}": "bad options {'db': 'a', 'password': [redacted]}",
    '{"access_token":"hunter2","n":1}': '{"access_token":[redacted],"n":1}',
    "cut off at password='hunter2": "cut off at password=[redacted]",
    "https://x/?token=hunter2&page=2": "https://x/?token=[redacted]&page=2",
    "postgresql://me:hunter2@db/jobs": "postgresql://[redacted]@db/jobs",
    "Authorization: Bearer abc.hunter2.def": "Authorization: Bearer [redacted]",
    f"refused {KEY}": "refused msk_019ca8a03e807d8e91b7584a2265b1f5_[redacted]",
}
PLAIN = (
    "max_tokens=512 token_count=3 tokens=4 secret_ref=a",
    "the bearer presented nothing",
    "token=secret://env/STRIPE",
    "a = b, key=7, x=y",
    "password reset was asked for",
    "password: must be text of at most 20 characters",
    "{'token_type': 'mac', 'token': 'secret://env/STRIPE'}",
)


@pytest.mark.parametrize(("text", "shown"), TOLD.items())
def test_a_secret_in_a_message_is_hidden_and_the_rest_stays(text: str, shown: str) -> None:
    assert without_credentials(text) == shown
    assert redacted({"note": [text]}) == {"note": [shown]}
    assert without_credentials(shown) == shown


@pytest.mark.parametrize("text", PLAIN)
def test_what_only_looks_alike_stays(text: str) -> None:
    assert without_credentials(text) == text


@pytest.mark.parametrize(
    "unit", ["password", "a-", "token=", "bearer ", "bearer a", "'token':", "'token': '", "msk_", "x://", "?key=", "'="]
)
def test_no_text_takes_long(unit: str) -> None:
    text = unit * (200_000 // len(unit)) + "="
    began = time.process_time()
    without_credentials(text)
    assert time.process_time() - began < 2
