"""Settings of a teacher behind an API that cannot hold: each is refused when the recipe loads, secrets unseen."""

from __future__ import annotations

import pytest

from contracts.errors import RecipeError
from recipes.load import load

ENDPOINT = "capture.endpoint=https://teacher.example/v1"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            (ENDPOINT, "students.student-7b.loss=top_k"),
            "students.student-7b.loss: needs the teacher's probabilities, and",
        ),
        ((ENDPOINT, "capture.teacher_prompts=0"), "capture.teacher_prompts: must be > 0 with an endpoint, got 0"),
        (("capture.api_key_env=KEY",), "capture.endpoint: must be given where its key or its model is, got nothing"),
        (
            ("capture.endpoint=teacher:8000/v1",),
            "must be the plain address of a server, up to and with /v1, got teacher",
        ),
        (("capture.endpoint=http://[/v1",), "must be the plain address of a server"),
        (("capture.endpoint=http://host:x/v1",), "must be the plain address of a server"),
        (("capture.endpoint=https://me:hush@host/v1",), "got one with a password or a query"),
        (("capture.endpoint=https://host/v1?key=hush",), "got one with a password or a query"),
        ((ENDPOINT, "capture.api_key_env=sk-hush"), "api_key_env: must be the name of an environment variable, got 7"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_hold_is_said_with_the_way_out(changes: tuple[str, ...], told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load("finance", "local", changes)
    assert told in str(caught.value)
    assert "hint: " in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("loss", ["auto", "sequence"])
def test_text_is_enough_for_the_other_losses(loss: str) -> None:
    recipe = load("finance", "local", (ENDPOINT, f"students.student-7b.loss={loss}", "capture.api_key_env=TEACHER_KEY"))
    assert recipe.capture.endpoint_model == ""
