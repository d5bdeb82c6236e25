"""The data of the templates' manifests gets into a real store, once, and changes nothing that is there."""

from kaos.templates import datasets
from shared.bucket import Bucket


def test_what_lacks_is_published_and_what_is_there_stays(bucket: Bucket) -> None:
    files = dict(datasets.files())
    changed, lost = "mnist/1/test/xaaa.csv", "mnist/1/training/xaay.csv"
    client = bucket.client
    client.create_bucket(Bucket=datasets.BUCKET)
    datasets.publish(client)
    client.put_object(Bucket=datasets.BUCKET, Key=changed, Body=b"a user's")
    client.put_object(Bucket=datasets.BUCKET, Key="mine/1.csv", Body=b"a user's too")
    client.delete_object(Bucket=datasets.BUCKET, Key=lost)

    datasets.publish(client)

    found = [each["Key"] for each in client.list_objects_v2(Bucket=datasets.BUCKET)["Contents"]]
    assert sorted(found) == sorted([*files, "mine/1.csv"])
    assert content(bucket, changed) == b"a user's"
    assert content(bucket, lost) == files[lost]


def content(bucket: Bucket, key: str) -> bytes:
    return bucket.client.get_object(Bucket=datasets.BUCKET, Key=key)["Body"].read()
