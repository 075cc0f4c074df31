"""Requests to a registry over HTTPS: tokens by scope, safe retries, one time limit.

No secret gets into a message. Sources: OCI distribution specification 1.1; Distribution's token
authentication specification; GHCR's own messages.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from urllib.parse import urljoin

import requests

from megalotron_images.errors import RegistryFailed
from megalotron_images.registry import https
from megalotron_images.registry.answer import Answer
from megalotron_images.registry.credentials import Credentials
from megalotron_images.registry.grammar import seconds_to_wait
from megalotron_images.registry.tokens import Tokens
from megalotron_images.waiting import SECONDS, announced, beside

_AGAIN = (500, 502, 503, 504)
_TOO_MANY = 429
_TRIES = 6
_FIRST_WAIT = 0.1


class Transport:
    """Requests to one registry with one login."""

    def __init__(
        self, host: str, credentials: Credentials | None, seconds: float = SECONDS
    ) -> None:
        self._host = host
        self._secrets = credentials.secrets if credentials else ()
        self._seconds = seconds
        self._session = https.session()
        self._tokens = Tokens(host, credentials, self._patiently)

    def ask(
        self,
        method: str,
        path: str,
        scope: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one question; return the answer, which may be a refusal.

        scope: what the token must allow, such as `repository:megalotron/backend:pull`. A write is
        sent once: a second one could replace what somebody else has put there since. Raises
        RegistryFailed without a reliable answer.
        """
        url, end = urljoin(f"https://{self._host}/", path), time.monotonic() + self._seconds
        question = https.Question(method, url, headers or {}, body, end)
        answer = self._authorized(question, scope)
        if answer.status == requests.codes.unauthorized:
            self._tokens.challenged(answer, scope)
            answer = self._authorized(question, scope)
        if answer.status == requests.codes.unauthorized:
            raise self._tokens.refused(answer, after_login=True)
        return answer

    def _authorized(self, question: https.Question, scope: str) -> Answer:
        with announced(self._host):  # with its pauses and its token
            if authorization := self._tokens.authorization(scope, question.end):
                headers = {**question.headers, "Authorization": authorization}
                question = replace(question, headers=headers)
            return self._patiently(question)

    def _patiently(self, question: https.Question) -> Answer:
        """Send a question, again where that is safe: failed reads, and unaccepted writes."""
        wait, asked = _FIRST_WAIT, 0.0
        for tries_left in reversed(range(_TRIES)):
            safe = question.method in https.READS
            send = partial(https.once, self._session, question, self._secrets)
            try:
                # in a thread: no time limit of requests is one for the whole answer
                answer = beside(send)(question.left)
            except (requests.RequestException, OSError, ValueError) as error:
                failure = RegistryFailed(https.unreachable(question, error))
            else:
                if answer.status not in (_TOO_MANY, *_AGAIN):
                    return answer
                safe = safe or answer.status == _TOO_MANY
                asked = seconds_to_wait(answer.headers.get("Retry-After", ""), answer.said)
                wait, failure = max(wait, asked), answer.failure()
            if not safe or not tries_left or time.monotonic() + wait > question.end:
                asks = f" It asks you to wait {asked:.0f} s." if asked > self._seconds else ""
                raise type(failure)(f"{failure}{asks}", failure.said)
            time.sleep(wait)
            wait *= 2
        raise AssertionError("the last try returns or raises")
