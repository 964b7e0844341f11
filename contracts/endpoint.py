"""Endpoint: an OpenAI-protocol server, ours or somebody's API. Its key is given, never looked up, and never shown."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from contracts.errors import ServeError

RETRIED_STATUS = {408, 409, 429, 500, 502, 503, 504}
REFUSED_STATUS = {401, 403}


class Endpoint(BaseModel):
    """Where a served model answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    """Up to and with ``/v1``."""
    model: str
    api_key: SecretStr = SecretStr("")
    """Printable ASCII; empty where the server wants none."""
    timeout_seconds: float = Field(default=120.0, gt=0)
    attempts: int = Field(default=5, ge=1)

    def headers(self) -> dict[str, str]:
        """Authorisation, where there is a key."""
        key = self.api_key.get_secret_value()
        return {"Authorization": f"Bearer {key}"} if key else {}

    def chat(self, messages: list[dict[str, str]], **options: Any) -> dict[str, Any]:
        """One chat completion as the server's JSON; retried with back-off on busy and broken answers.

        Raises ServeError when every attempt failed or the server refuses the request.
        """
        return self.post("/chat/completions", {"model": self.model, "messages": messages, **options})

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST to the endpoint with retries; see ``chat``."""
        return self._exchange("POST", path, body)

    def get(self, path: str) -> dict[str, Any]:
        """GET from the endpoint with retries; see ``chat``."""
        return self._exchange("GET", path, None)

    def _exchange(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        url, seen, hint = self.base_url + path, "", "is the server up, and does it serve the model?"
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(min(30.0, 2.0**attempt) * (0.5 + random.random() / 2))
            try:
                answer = httpx.request(method, url, json=body, headers=self.headers(), timeout=self.timeout_seconds)
            except httpx.TransportError as error:
                seen = self._without_key(f"{type(error).__name__}: {error}")
                continue
            text = self._without_key(answer.text)
            if answer.is_success:
                return _json_object(url, text)
            seen = f"HTTP {answer.status_code}: {text[:300]}"
            if answer.status_code in REFUSED_STATUS:
                hint = "the server wants a key that it knows; the recipe names the variable that holds it"
            if answer.status_code not in RETRIED_STATUS:
                break
        raise ServeError(url, "did not answer", got=seen, hint=hint)

    def _without_key(self, text: str) -> str:
        """What the server said, fit to be written down: some repeat the key that they refuse."""
        key = self.api_key.get_secret_value()
        return text.replace(key, "***") if key else text


def _json_object(url: str, text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError) as error:
        hint = "is the address that of an OpenAI-protocol server, up to and with /v1?"
        raise ServeError(url, "answered no JSON object", got=text[:300], hint=hint) from error
