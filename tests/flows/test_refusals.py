"""Prefect's logs tell an error of the house by its message; a fault of ours keeps its call stack."""

from __future__ import annotations

import io
import logging

import pytest

from contracts.errors import InputError
from flows.refusals import LOGGERS, tell_without_stack


@pytest.mark.parametrize("name", LOGGERS)
@pytest.mark.parametrize(
    ("error", "stack"), [(InputError("corpus", "is empty", hint="add documents"), False), (KeyError("x"), True)]
)
def test_only_an_error_of_the_house_loses_its_stack(name: str, error: Exception, stack: bool) -> None:
    tell_without_stack()
    tell_without_stack()
    logger, heard = logging.getLogger(name), io.StringIO()
    handler = logging.StreamHandler(heard)
    logger.addHandler(handler)
    try:
        raise error
    except (InputError, KeyError):
        logger.exception("Encountered exception during execution: %r", error)
    finally:
        logger.removeHandler(handler)
    assert ("Traceback" in heard.getvalue()) is stack
    assert stack or heard.getvalue() == "corpus: is empty\n"
