"""A property of Google Analytics, asked as a service account; what Google refuses is told with what to do."""

from __future__ import annotations

import difflib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tallyline.api import Offset, Request, as_api, part
from tallyline.errors import Denied, Refused, Unavailable, UnexpectedAnswer
from tallyline.secret import masked, remember

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tallyline.api import Api

__all__ = ["Property", "listed"]

URL = "https://analyticsdata.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/analytics.readonly"
NAMES = "https://developers.google.com/analytics/devguides/reporting/data/v1/api-schema"
OK = 200


@dataclass(frozen=True, slots=True)
class Property:
    """A property, asked by a service account."""

    api: Api
    number: int
    who: str

    @classmethod
    def of(cls, api: object, number: int) -> Property:
        """Sign in, and return the property of that number."""
        service = as_api(api, "Google Analytics", 'analytics = { credentials = "${GOOGLE_CREDENTIALS}" }')
        return cls(service.default(URL), number, _sign_in(service))

    @property
    def path(self) -> str:
        """Where it is asked."""
        return f"/v1beta/properties/{self.number}"

    def reports(self, body: Mapping[str, Any]) -> Iterator[Any]:
        """Yield the pages of a report, and make sure that all of its rows came."""
        pages = self.api.pages(Request(f"{self.path}:runReport", body=body), Offset(body["limit"]))
        totals, came = [], 0
        with self.explaining():
            for answer in pages:
                part(answer.data, "metadata", dict)
                totals.append(part(answer.data, "rowCount", int) if "rowCount" in answer.data else 0)
                came += len(listed(answer.data, "rows"))
                yield answer.data
        if len(set(totals)) > 1:
            msg = f"property {self.number}: while it was read, the report got {totals[-1]} rows, and had {totals[0]}"
            raise Unavailable(msg)
        if came != totals[0]:
            msg = f'"rowCount" of the answer is {totals[0]}, but {came} rows came'
            raise UnexpectedAnswer(msg)

    def tried(self, body: Mapping[str, Any]) -> Any:  # noqa: ANN401  # JSON
        """Return a report, with what is left of the property's quota."""
        with self.explaining():
            return self.api.post(f"{self.path}:runReport", {**body, "returnPropertyQuota": True}).data

    def check_known(self, measures: Iterable[str], dimensions: Iterable[str]) -> None:
        """Refuse names that the property does not know, with those that are near."""
        with self.explaining():
            told = self.api.get(f"{self.path}/metadata").data
        for what, key, names in (("metric", "metrics", measures), ("dimension", "dimensions", dimensions)):
            known = part(told, key, list)
            existing = {part(each, "apiName", str) for each in known}
            existing.update(old for each in known for old in listed(each, "deprecatedApiNames"))
            for name in names:
                if name not in existing:
                    near = ", ".join(difflib.get_close_matches(name, sorted(existing), n=3))
                    guess = f"near it are: {near}" if near else "none is near it"
                    msg = f'property {self.number} has no {what} "{name}"; {guess}; all stand at {NAMES}'
                    raise Refused(msg)

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Say what to do, where Google refuses."""
        try:
            yield
        except Denied as denied:
            msg = f"{denied}; {self._to_do(str(denied))}".removesuffix("; ")
            raise Denied(msg) from denied

    def _to_do(self, said: str) -> str:
        if "SERVICE_DISABLED" in said or "has not been used in project" in said:
            return f"enable the Google Analytics Data API in the Google Cloud project of {self.who}"
        if " answered 403 " in said:
            return (
                f"add {self.who} as Viewer of property {self.number} "
                "(Google Analytics: Admin, Property access management), or correct the number"
            )
        if " answered 400 " in said and "is not a valid" in said:
            return f"the names that there are stand at {NAMES}"
        return ""


def listed(data: object, key: str) -> list[Any]:
    """Return a list, which Google leaves out where it is empty."""
    return part(data, key, list) if isinstance(data, dict) and data.get(key) is not None else []


def _sign_in(api: Api) -> str:
    """Let tokens of the service account be sent with each request; return its e-mail address."""
    if api.is_stand_in:
        return "the service account"
    try:
        from google.auth.exceptions import RefreshError  # noqa: PLC0415  # an extra
        from google.oauth2.service_account import Credentials  # noqa: PLC0415
    except ImportError:
        msg = 'Google Analytics needs google-auth: pip install "tallyline[ga4]"'
        raise Refused(msg) from None
    info = _service_account(api)
    try:
        credentials = Credentials.from_service_account_info(info, scopes=[SCOPE])  # type: ignore[no-untyped-call]
    except ValueError as error:
        msg = f"{api.name}: the credentials are no key that can be used: {error}"
        raise Refused(masked(msg)) from None
    who = str(credentials.service_account_email)

    def token() -> str:
        try:
            if not credentials.valid:
                credentials.refresh(lambda **asked: _exchanged(api, **asked))
        except RefreshError as error:
            msg = (
                f"{api.name}: Google does not accept the credentials of {who}: {error.args[0]}; "
                "make a new key for this service account, and check this machine's clock"
            )
            raise Denied(masked(msg)) from None
        return str(credentials.token)

    api.with_token(token)
    return who


def _service_account(api: Api) -> dict[str, str]:
    if not api.credentials:
        msg = f'{api.name}: Google Analytics needs credentials; write credentials = "${{GOOGLE_CREDENTIALS}}"'
        raise Refused(msg)
    try:
        info = json.loads(api.credentials)
    except ValueError:
        info = None
    kind = info.get("type") if isinstance(info, dict) else "no JSON"
    if not isinstance(info, dict) or kind != "service_account":
        msg = f"{api.name}: the credentials are {kind}; give the JSON file of a key of a service account"
        raise Refused(msg)
    for secret in ("private_key", "private_key_id"):
        remember(str(info.get(secret, "")))
    return info


def _exchanged(api: Api, url: str, body: bytes, headers: Mapping[str, str], **_: object) -> SimpleNamespace:
    """Ask for a token, in the way that google-auth wants it asked."""
    for assertion in parse_qs(body.decode())["assertion"]:
        remember(assertion)
    status, said = api.exchange(url, body, headers)
    if status == OK:
        try:
            answer = json.loads(said)
        except ValueError:
            answer = None
        remember(part(answer, "access_token", str))
    return SimpleNamespace(status=status, headers={}, data=said)
