"""The inference worker's HTTP side: answers, refusals with their codes, health."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import httpx2
import numpy as np
import pytest

from app.core.types import Urgency
from app.engine.about import About, dump_about, load_about
from app.engine.infer_app import create_infer_app
from app.engine.infer_rules import InferRules
from app.engine.local import BatchRules
from app.engine.packet import max_body_bytes, pack_request, pack_window
from app.engine.strict_json import WireInvalid
from app.engine.wire import dump_decoded, dump_diarization
from app.errors import OptionInvalid
from tests.engine.engine_cases import POISON_WINDOW, REQUESTS, WINDOWS
from tests.engine.fake_worker import SPEC, FakeWorker, fake_engine

BODY = pack_window(WINDOWS[0])


def run(main, worker=None, rules=None, batching=None) -> None:
    """Call `main` with a client of an app over the fake engine."""

    async def outer() -> None:
        engine = fake_engine(worker, batching)
        app = create_infer_app(engine, rules or InferRules())
        transport = httpx2.ASGITransport(app)
        async with (
            httpx2.AsyncClient(transport=transport, base_url="http://worker") as client,
            app.router.lifespan_context(app),
        ):
            await main(client, engine)
        await engine.aclose()

    asyncio.run(asyncio.wait_for(outer(), 60))


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_answers_are_those_of_the_engine() -> None:
    async def main(client, engine) -> None:
        window = await client.post("/v1/infer/diarize", content=BODY)
        assert window.content == dump_diarization(await engine.diarize(WINDOWS[0]))
        written = await client.post("/v1/infer/decode", content=pack_request(REQUESTS[1]))
        assert written.content == dump_decoded(await engine.decode(REQUESTS[1]))

    run(main)


def test_about_tells_models_and_capacity() -> None:
    async def main(client, _engine) -> None:
        about = load_about((await client.get("/v1/infer/about")).content)
        assert (about.spec, about.identity, about.capacity, about.in_flight) == (SPEC, "fake", 12, 0)
        assert load_about(dump_about(about)) == about

    run(main, batching=BatchRules(max_diarize_batch=6, max_decode_batch=2))


@pytest.mark.parametrize("damage", [b"{}", b"", b'{"protocol": 2}'])
def test_an_about_that_is_none_is_refused(damage: bytes) -> None:
    with pytest.raises(WireInvalid):
        load_about(damage)
    with pytest.raises(WireInvalid, match="contradicts"):
        load_about(dump_about(About(SPEC, "fake", 0, "x")))


def test_what_is_wrong_has_a_code() -> None:
    class German(FakeWorker):
        def decode_batch(self, requests):
            raise OptionInvalid("no such language", param="language")

    async def main(client, _engine) -> None:
        post = client.post
        assert code(await post("/v1/infer/diarize", content=b"nonsense")) == (400, "request_invalid")
        assert code(await post("/v1/infer/diarize", content=pack_request(REQUESTS[0]))) == (400, "request_invalid")
        assert code(await post("/v1/infer/diarize", content=pack_window(POISON_WINDOW))) == (500, "engine_failed")
        short = replace(WINDOWS[0], samples=np.zeros(3, np.float32))
        assert code(await post("/v1/infer/diarize", content=pack_window(short))) == (500, "engine_failed")
        large = bytes(max_body_bytes(SPEC.window_samples) + 1)
        assert code(await post("/v1/infer/diarize", content=large)) == (413, "request_too_large")
        other = await post("/v1/infer/diarize", content=BODY, headers={"Crosstalk-Identity": "other"})
        assert code(other) == (409, "models_differ")
        odd = await post("/v1/infer/diarize", content=BODY, headers={"Crosstalk-Timeout-Ms": "soon"})
        assert code(odd) == (400, "request_invalid")
        pressing = await post("/v1/infer/diarize", content=BODY, headers={"Crosstalk-Urgency": "3"})
        assert code(pressing) == (400, "request_invalid")
        wrong = await post("/v1/infer/decode", content=pack_request(REQUESTS[0]))
        assert code(wrong) == (400, "option_invalid")
        assert wrong.json()["error"]["param"] == "language"

    run(main, German())


def test_the_token_is_asked_of_all_but_health() -> None:
    async def main(client, _engine) -> None:
        right = {"Authorization": "Bearer secret"}
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}):
            assert code(await client.get("/v1/infer/about", headers=headers)) == (401, "unauthorized")
            assert code(await client.post("/v1/infer/diarize", content=BODY, headers=headers)) == (401, "unauthorized")
        assert (await client.get("/v1/infer/about", headers=right)).status_code == 200
        assert (await client.post("/v1/infer/diarize", content=BODY, headers=right)).status_code == 200
        assert (await client.get("/healthz")).status_code == 200

    run(main, rules=InferRules(token="secret"))


class Gated(FakeWorker):
    """Answers once its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.entered = threading.Event()

    def diarize_batch(self, windows):
        self.entered.set()
        assert self.gate.wait(30)
        return super().diarize_batch(windows)


def test_a_full_worker_and_a_late_answer_say_so() -> None:
    worker = Gated()

    async def main(client, _engine) -> None:
        assert (await client.get("/readyz")).status_code == 503
        first = asyncio.create_task(client.post("/v1/infer/diarize", content=BODY))
        await asyncio.to_thread(worker.entered.wait, 30)
        while (await client.get("/v1/infer/about")).json()["in_flight"] == 0:  # noqa: ASYNC110 - told over HTTP
            await asyncio.sleep(0.01)
        full = await client.post("/v1/infer/diarize", content=BODY)
        assert code(full) == (503, "overloaded")
        assert full.headers["retry-after"]
        worker.gate.set()
        assert (await first).status_code == 200
        worker.gate.clear()
        late = await client.post("/v1/infer/diarize", content=BODY, headers={"Crosstalk-Timeout-Ms": "20"})
        assert code(late) == (504, "deadline_passed")
        worker.gate.set()

    run(main, worker, InferRules(max_inside=1))


def test_recordings_leave_room_to_live_sessions() -> None:
    worker = Gated()

    async def main(client, _engine) -> None:
        async def post(urgency: Urgency) -> httpx2.Response:
            headers = {"Crosstalk-Urgency": str(urgency.value)}
            return await client.post("/v1/infer/diarize", content=BODY, headers=headers)

        inside = [asyncio.create_task(post(Urgency.RECORDING)) for _ in range(7)]
        while (await client.get("/v1/infer/about")).json()["in_flight"] < 7:  # noqa: ASYNC110 - told over HTTP
            await asyncio.sleep(0.01)
        assert code(await post(Urgency.RECORDING)) == (503, "overloaded")
        live = asyncio.create_task(post(Urgency.LIVE))
        while (await client.get("/v1/infer/about")).json()["in_flight"] < 8:  # noqa: ASYNC110 - told over HTTP
            await asyncio.sleep(0.01)
        worker.gate.set()
        assert {answer.status_code for answer in await asyncio.gather(live, *inside)} == {200}

    run(main, worker, InferRules(max_inside=8))


def test_ready_means_that_a_probe_passed() -> None:
    class Broken(FakeWorker):
        def decode_batch(self, requests):
            raise RuntimeError("no memory")

    async def state(client) -> tuple[int, str]:
        while (answer := await client.get("/readyz")).json()["status"] == "starting":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return answer.status_code, answer.json()["status"]

    async def good(client, _engine) -> None:
        assert await state(client) == (200, "ready")

    async def bad(client, _engine) -> None:
        assert await state(client) == (503, "failing")

    run(good)
    run(bad, Broken())
