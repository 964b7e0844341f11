"""Endpoint: an OpenAI-protocol server, ours or somebody's API. Keys come from the environment and are never shown."""

from __future__ import annotations

import os
import random
import time
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field

from contracts.errors import ServeError

RETRIED_STATUS = {408, 409, 429, 500, 502, 503, 504}


class Endpoint(BaseModel):
    """Where a served model answers. ``api_key_env`` names the environment variable that holds the key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    """Up to and with ``/v1``."""
    model: str
    api_key_env: str = ""
    timeout_seconds: float = Field(default=120.0, gt=0)
    attempts: int = Field(default=5, ge=1)

    def headers(self) -> dict[str, str]:
        """Authorisation, where a key is set in the environment."""
        key = os.environ.get(self.api_key_env, "") if self.api_key_env else ""
        return {"Authorization": f"Bearer {key}"} if key else {}

    def chat(self, messages: list[dict[str, str]], **options: Any) -> dict[str, Any]:
        """One chat completion as the server's JSON; retried with back-off on busy and broken answers.

        Raises ServeError when every attempt failed or the server refuses the request.
        """
        return self.post("/chat/completions", {"model": self.model, "messages": messages, **options})

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST to the endpoint with retries; see ``chat``."""
        seen = ""
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(min(30.0, 2.0**attempt) * (0.5 + random.random() / 2))
            try:
                answer = httpx.post(
                    self.base_url + path, json=body, headers=self.headers(), timeout=self.timeout_seconds
                )
            except httpx.TransportError as error:
                seen = f"{type(error).__name__}: {error}"
                continue
            if answer.is_success:
                return dict(answer.json())
            seen = f"HTTP {answer.status_code}: {answer.text[:300]}"
            if answer.status_code not in RETRIED_STATUS:
                break
        raise ServeError(
            f"{self.base_url}{path}", "did not answer", got=seen, hint="is the server up, and does it serve the model?"
        )
