"""Reads what object stores say about new objects. Pure: bytes in, ObjectCreated events out.

    MinIO, JuiceFS, RustFS   {"EventName", "Key", "Records": […]}      key form-encoded
    Amazon S3                {"Records": […]}, bare or within SNS      key form-encoded
    Amazon EventBridge       {"detail-type": "Object Created", …}      key as it is
    Ceph RGW                 {"Records": [{"eventSource": "ceph:s3"}]}   key as it is

An event's time is the store's: told again, even days later, it is the same event to the last byte.
One body may speak of several objects, of removals, or of nothing (`s3:TestEvent`). What will never concern kaos is
counted and passed over, because a store repeats for ever what is refused; only what is no notification is refused.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import unquote_plus, urlsplit

from pydantic import AliasChoices, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from functions.gateway import strict_json
from functions.gateway.errors import Refused, sentence
from shared.errors import Reject
from shared.events import Event, ObjectCreated, new_event
from shared.names import workspace_name

# These say that something about an old object has changed; MinIO counts them as creations.
_NOT_CONTENT: Final = frozenset(
    {"ObjectCreated:PutTagging", "ObjectCreated:PutRetention", "ObjectCreated:PutLegalHold"}
)
_SNS_HOST: Final = re.compile(r"sns\.[a-z0-9-]+\.amazonaws\.com(\.cn)?\Z")
_METADATA_PREFIX: Final = "x-amz-meta-"


@dataclass(frozen=True)
class Notification:
    """What one body says: the new objects of the inbox, and how many records were passed over.

    `confirm` is the address at which a person confirms an SNS subscription.
    """

    created: tuple[Event[ObjectCreated], ...] = ()
    ignored: int = 0
    confirm: str = ""


def _metadata(value: Any) -> Any:
    """Ceph's list of {"key", "val"} as the mapping that MinIO sends."""
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return {item.get("key"): item.get("val") for item in value}
    return {} if value is None else value


# Before S3 there were no notifications; a run's id has the time in it, which must fit.
_Time = Annotated[AwareDatetime, Field(gt=datetime(2006, 1, 1, tzinfo=UTC))] | None


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class _Object(_Model):
    key: str = Field(min_length=1)
    size: int = Field(default=0, ge=0)
    etag: str = Field(default="", validation_alias=AliasChoices("eTag", "etag"))
    version: str = Field(default="", validation_alias=AliasChoices("versionId", "version-id"))
    sequencer: str = ""
    metadata: Annotated[dict[str, str], BeforeValidator(_metadata)] = Field(
        default={}, validation_alias=AliasChoices("userMetadata", "metadata")
    )


class _Bucket(_Model):
    name: str


class _Entity(_Model):
    bucket: _Bucket
    object: _Object


class _Record(_Model):
    version: str = Field(default="2.0", validation_alias="eventVersion")
    source: str = Field(default="", validation_alias="eventSource")
    name: str = Field(validation_alias="eventName")
    time: _Time = Field(default=None, validation_alias="eventTime", strict=False)
    s3: _Entity


class _Bridged(_Model):
    time: _Time = Field(default=None, strict=False)
    detail: _Entity


class _Sns(_Model):
    type: str = Field(validation_alias="Type")
    message: str = Field(default="", validation_alias="Message")
    certificate: str = Field(default="", validation_alias="SigningCertURL")
    subscribe: str = Field(default="", validation_alias="SubscribeURL")


def read(body: bytes | str, *, bucket: str) -> Notification:
    """What `body` says of `bucket`. Raises Refused: 400 where it is no notification, 403 for a foreign SNS."""
    value = strict_json.parse(body)
    try:
        match value:
            case {"Records": list(records)}:
                return _from_records(records, bucket)
            case {"Type": str(), "TopicArn": str()}:
                return _from_sns(_Sns.model_validate(value), bucket)
            case {"detail-type": str(kind), "detail": dict()}:
                if kind != "Object Created":
                    return Notification(ignored=1)
                bridged = _Bridged.model_validate(value)
                return _collect([_created(bridged.detail, bridged.time, bucket, encoded=False)])
            case {"Event": "s3:TestEvent"}:
                return Notification(ignored=1)
    except ValidationError as error:
        found = "; ".join(sentence(detail) for detail in error.errors(include_input=False)[:3])
        raise Refused(400, "notification.invalid", f"The notification is not as its format says: {found}.") from None
    raise Refused(
        400, "notification.unknown", "The body is no notification of MinIO, Amazon S3, SNS, EventBridge or Ceph."
    )


def _from_records(records: list[Any], bucket: str) -> Notification:
    found: list[Event[ObjectCreated] | None] = []
    for record in records:
        name = str(record.get("eventName", "")).removeprefix("s3:") if isinstance(record, dict) else ""
        if name and (not name.startswith("ObjectCreated:") or name in _NOT_CONTENT):
            found.append(None)
            continue
        valid = _Record.model_validate(record)
        if valid.version.partition(".")[0] != "2":
            raise Refused(400, "notification.version", f"Notifications of version {valid.version[:20]} are not known.")
        found.append(_created(valid.s3, valid.time, bucket, encoded=valid.source != "ceph:s3"))
    return _collect(found)


def _from_sns(message: _Sns, bucket: str) -> Notification:
    """The body within. The caller is authenticated already; that the message is not Amazon's own is refused too."""
    for address in (message.certificate, message.subscribe):
        url = urlsplit(address)
        if address and (url.scheme != "https" or not _SNS_HOST.match(url.hostname or "")):
            raise Refused(403, "notification.foreign", "The SNS message names a host that is not Amazon's.")
    if message.type == "Notification":
        return read(message.message, bucket=bucket)
    return Notification(ignored=1, confirm=message.subscribe if message.type == "SubscriptionConfirmation" else "")


def _collect(found: list[Event[ObjectCreated] | None]) -> Notification:
    created = tuple(event for event in found if event is not None)
    return Notification(created, len(found) - len(created))


def _created(entity: _Entity, time: datetime | None, bucket: str, *, encoded: bool) -> Event[ObjectCreated] | None:
    """The event; None for another bucket, a folder marker, and a key that lies in no workspace."""
    stored = entity.object
    try:
        key = unquote_plus(stored.key, errors="strict") if encoded else stored.key
        workspace = workspace_name(key.partition("/")[0])
    except (UnicodeDecodeError, Reject):
        return None
    if entity.bucket.name != bucket or "/" not in key or key.endswith("/"):
        return None
    data = ObjectCreated(
        workspace=workspace,
        bucket=bucket,
        key=key,
        size=stored.size,
        etag=stored.etag.strip('"'),
        sequencer=stored.sequencer,
        version="" if stored.version == "null" else stored.version,
        metadata={name.lower().removeprefix(_METADATA_PREFIX): text for name, text in stored.metadata.items()},
    )
    return new_event(data, source="gateway", time=time)
