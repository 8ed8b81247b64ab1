"""COS on a port of its own: every path is an object's, `/BUCKET/KEY`."""

from collections.abc import Callable

from aiohttp import web

from ..services.cos import ObjectCall
from ..services.service import Service
from .answers import Answers


class CosServer:
    def __init__(self, service: Service, answers: Answers, now: Callable[[], float]) -> None:
        self._service = service
        self._answers = answers
        self._now = now

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._object)
        return application

    async def _object(self, request: web.Request) -> web.StreamResponse:
        url = request.rel_url
        call = ObjectCall(request.method, request.host, url.raw_path, url.raw_query_string, request.headers)
        return await self._answers.send(request, self._service.object(call, self._now()))
