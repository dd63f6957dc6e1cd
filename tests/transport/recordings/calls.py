"""What the tests of recordings ask a server."""

from __future__ import annotations

from tests.transport.server import wait_until, wav


def unfinished(http) -> list[str]:
    """Ids of the recordings that are not over; they are cancelled."""
    found = http.get("/v1/recordings", params={"state": ["queued", "running"], "limit": 200}).json()["data"]
    for it in found:
        http.post(f"/v1/recordings/{it['id']}/cancel")
    return [it["id"] for it in found]


def submit(http, name="meeting.wav", data=None, headers=None, **fields):
    """Upload a recording."""
    files = {"file": (name, wav() if data is None else data)}
    return http.post("/v1/recordings", data=fields, files=files, headers=headers)


def finished(http, **fields) -> str:
    """The path of a recording that has succeeded."""
    made = submit(http, **fields)
    assert made.status_code == 202, made.text
    path = made.headers["location"]
    wait_for(http, path, "succeeded")
    return path


def wait_for(http, path, state) -> None:
    """Wait for a state; fails when the recording ends in another."""
    over = {"succeeded", "failed", "cancelled"}

    def there() -> bool:
        found = http.get(path).json()
        assert found["state"] == state or found["state"] not in over, found
        return found["state"] == state

    wait_until(there, 60)


def code(response):
    return response.status_code, response.json()["error"]["code"]
