"""The engine over inference workers: who gets a call, and what becomes of one that is refused or lost."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack
from dataclasses import replace

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from app.core.types import Urgency
from app.engine.http_client import open_http
from app.engine.infer_app import create_infer_app
from app.engine.infer_rules import InferRules
from app.engine.local import BatchRules
from app.engine.probe import PROBE_SAMPLES
from app.errors import EngineUnavailable, ModelUnavailable, OptionInvalid, Overloaded, SetupError
from tests.engine.engine_cases import REQUESTS, WINDOWS, ask_all
from tests.engine.fake_worker import SPEC, FakeWorker, fake_engine
from tests.engine.inference import http_rules, serving


class Site:
    """Workers in threads of this process."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.engines = []

    def add(self, worker=None, rules: InferRules | None = None, batching: BatchRules | None = None) -> str:
        """The URL of a further worker."""
        engine = fake_engine(worker, batching)
        self.engines.append(engine)
        return self._stack.enter_context(serving(create_infer_app(engine, rules or InferRules())))

    def add_app(self, app) -> str:
        return self._stack.enter_context(serving(app))


def run(main) -> None:
    async def outer() -> None:
        with ExitStack() as stack:
            site = Site(stack)
            await main(site)
            for engine in site.engines:
                await engine.aclose()

    asyncio.run(asyncio.wait_for(outer(), 90))


class Held(FakeWorker):
    """Counts what it is asked, and answers once its gate is open."""

    def __init__(self, *, open_gate: bool = False) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.asked = 0
        if open_gate:
            self.gate.set()

    def decode_batch(self, requests):
        # Only what the tests ask, not the probe at start.
        asked = sum(len(request.samples) != PROBE_SAMPLES for request in requests)
        self.asked += asked
        assert not asked or self.gate.wait(60)
        return super().decode_batch(requests)


async def until(condition) -> None:
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come true")


def test_the_capacity_is_that_of_all_workers() -> None:
    async def main(site: Site) -> None:
        rules = BatchRules(max_diarize_batch=4, max_decode_batch=4)
        urls = [site.add(batching=rules) for _ in range(3)]
        engine = await open_http(http_rules(*urls))
        await until(lambda: engine.capacity == 24)
        assert engine.spec == SPEC
        assert engine.identity == "fake"
        await engine.aclose()

    run(main)


def test_calls_go_to_the_least_loaded_worker() -> None:
    async def main(site: Site) -> None:
        workers = [Held(), Held()]
        engine = await open_http(http_rules(*(site.add(worker) for worker in workers)))
        await until(lambda: engine.capacity == 32)
        asked = [asyncio.create_task(engine.decode(REQUESTS[0])) for _ in range(10)]
        # What waits in one worker does not wait in the other: both have their half.
        for worker in workers:
            worker.gate.set()
        await asyncio.gather(*asked)
        assert [worker.asked for worker in workers] == [5, 5]
        await engine.aclose()

    run(main)


def test_a_full_worker_passes_the_call_on_and_only_then_it_is_overload() -> None:
    async def main(site: Site) -> None:
        held, other = Held(), Held(open_gate=True)
        urls = [site.add(worker, InferRules(max_inside=1)) for worker in (held, other)]
        elsewhere, engine = await open_http(http_rules(urls[0])), await open_http(http_rules(*urls))
        await until(lambda: engine.capacity == 32)
        # Somebody else fills the first worker, of which this engine knows nothing.
        waits = asyncio.create_task(elsewhere.decode(REQUESTS[0]))
        await until(lambda: held.asked == 1)
        for _ in range(4):
            assert (await engine.decode(REQUESTS[1])).turns
        assert (held.asked, other.asked) == (1, 4)
        other.gate.clear()
        second = asyncio.create_task(engine.decode(REQUESTS[1]))
        await until(lambda: other.asked == 5)
        with pytest.raises(Overloaded):
            await engine.decode(REQUESTS[2])
        held.gate.set()
        other.gate.set()
        await asyncio.gather(waits, second)
        await asyncio.gather(elsewhere.aclose(), engine.aclose())

    run(main)


def test_a_worker_with_other_models_is_refused() -> None:
    class Others(FakeWorker):
        identity = "others"

    async def main(site: Site) -> None:
        mine, others = FakeWorker(), Others()
        urls = (site.add(mine), site.add(others))
        engine = await open_http(http_rules(*urls, identity="fake"))
        expected = await ask_all(site.engines[0])
        before = len(others.batches)
        assert await ask_all(engine) == expected
        assert len([batch for batch in others.batches[before:] if batch[1] > 1]) == 0
        assert engine.identity == "fake"
        await engine.aclose()
        with pytest.raises(SetupError, match="models are others"):
            await open_http(http_rules(urls[1], identity="fake"))

    run(main)


def test_the_token_is_shown_and_a_wrong_one_is_told() -> None:
    async def main(site: Site) -> None:
        url = site.add(rules=InferRules(token="secret"))
        engine = await open_http(http_rules(url, token="secret"))
        assert (await engine.diarize(WINDOWS[0])).start == WINDOWS[0].start
        await engine.aclose()
        with pytest.raises(SetupError, match="401"):
            await open_http(http_rules(url, token="wrong"))

    run(main)


def test_no_worker_at_all_is_told_with_the_reason() -> None:
    async def main(_site: Site) -> None:
        with pytest.raises(ModelUnavailable, match=r"127\.0\.0\.1:9: ConnectError"):
            await open_http(http_rules("http://127.0.0.1:9", start_timeout_s=1.5))

    run(main)


def test_an_option_that_is_wrong_stays_the_callers() -> None:
    class German(FakeWorker):
        def decode_batch(self, requests):
            raise OptionInvalid("no such language", param="language")

    async def main(site: Site) -> None:
        engine = await open_http(http_rules(site.add(German())))
        with pytest.raises(OptionInvalid, match="no such language") as caught:
            await engine.decode(REQUESTS[0])
        assert caught.value.param == "language"
        await engine.aclose()

    run(main)


def test_lost_calls_are_repeated_twice_and_then_told() -> None:
    calls = []

    async def main(site: Site) -> None:
        inner = fake_engine()
        site.engines.append(inner)
        app = create_infer_app(inner, InferRules())

        async def broken(_request) -> Response:
            calls.append(1)
            return Response("<h1>Bad gateway</h1>", status_code=502)

        app.router.routes.insert(0, Route("/v1/infer/decode", broken, methods=["POST"]))
        engine = await open_http(http_rules(site.add_app(app)))
        with pytest.raises(EngineUnavailable, match=r"3 calls were lost.*502"):
            await engine.decode(REQUESTS[0])
        assert len(calls) == 3
        await engine.aclose()

    run(main)


def test_a_call_that_takes_too_long_goes_to_another_worker() -> None:
    async def main(site: Site) -> None:
        held, good = Held(), Held(open_gate=True)
        engine = await open_http(http_rules(site.add(held), site.add(good), call_timeout_s=1.0))
        await until(lambda: engine.capacity == 32)
        for _ in range(2):
            assert (await engine.decode(REQUESTS[0])).turns
        assert good.asked == 2
        held.gate.set()
        await engine.aclose()

    run(main)


def test_a_busy_worker_answers_live_requests_before_recordings() -> None:
    """How urgent a request is travels with the call."""

    class Gated(Held):
        def decode_batch(self, requests):
            asked = [request for request in requests if len(request.samples) != PROBE_SAMPLES]
            order.extend((request.index, request.urgency) for request in asked)
            return super().decode_batch(requests)

    order: list[tuple[int, Urgency]] = []
    kinds = [Urgency.RECORDING] * 3 + [Urgency.TENTATIVE, Urgency.LIVE]

    async def main(site: Site) -> None:
        worker = Gated()
        engine = await open_http(http_rules(site.add(worker, batching=BatchRules(max_decode_batch=1))))
        inside = site.engines[0]
        first = asyncio.create_task(engine.decode(replace(REQUESTS[0], index=0)))
        await until(lambda: worker.asked == 1)
        asked = []
        for index, urgency in enumerate(kinds, 1):
            asked.append(asyncio.create_task(engine.decode(replace(REQUESTS[0], index=index, urgency=urgency))))
            await until(lambda expected=index: inside.waiting["decode"] == expected)
        worker.gate.set()
        await asyncio.gather(first, *asked)
        assert [index for index, _ in order] == [0, 5, 4, 1, 2, 3]
        assert dict(order) == {0: Urgency.RECORDING} | dict(enumerate(kinds, 1))
        await engine.aclose()

    run(main)


def test_a_name_with_several_addresses_is_several_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers come and go with the addresses of their name."""

    async def main(site: Site) -> None:
        addresses = ["127.0.0.1", "127.0.0.2"]
        port = int(site.add().rsplit(":", 1)[1])
        loop = asyncio.get_running_loop()
        look_up = loop.getaddrinfo

        async def fake(host, port, **values):
            if host != "workers.test":
                return await look_up(host, port, **values)
            return [(2, 1, 6, "", (address, port)) for address in addresses]

        monkeypatch.setattr(loop, "getaddrinfo", fake)
        engine = await open_http(http_rules(f"http://workers.test:{port}"))
        known = lambda: {worker.address.base: worker.state for worker in engine._pool.workers}  # noqa: E731
        await until(lambda: set(known()) == {f"http://127.0.0.1:{port}", f"http://127.0.0.2:{port}"})
        assert (await engine.decode(REQUESTS[0])).turns
        addresses.pop()
        await until(lambda: set(known()) == {f"http://127.0.0.1:{port}"})
        assert (await engine.decode(REQUESTS[0])).turns
        await engine.aclose()

    run(main)


def test_a_page_that_is_no_worker_is_no_worker() -> None:
    async def page(_request) -> Response:
        return Response("hello")

    async def main(site: Site) -> None:
        url = site.add_app(Starlette(routes=[Route("/v1/infer/about", page)]))
        with pytest.raises(SetupError, match="not a message"):
            await open_http(http_rules(url))

    run(main)


def test_an_answer_that_cannot_be_unpacked_is_told_and_asked_for_again() -> None:
    asked = []

    async def garbled(_request) -> Response:
        asked.append(1)
        return Response(b"no gzip", headers={"Content-Encoding": "gzip"})

    async def main(site: Site) -> None:
        url = site.add_app(Starlette(routes=[Route("/v1/infer/about", garbled)]))
        rules = http_rules(url)
        opening = asyncio.create_task(open_http(replace(rules, start_timeout_s=60.0)))
        await until(lambda: len(asked) >= 2)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        with pytest.raises(ModelUnavailable, match="DecodingError"):
            await open_http(replace(rules, start_timeout_s=1.0))

    run(main)
