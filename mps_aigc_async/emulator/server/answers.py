"""The core's answers on a connection: replies, results rendered and sent, and broken connections."""

import asyncio
import socket
import struct

from aiohttp import web

from ..media.gallery import Gallery
from ..media.rendering import MissingExtraError
from ..tasks.reply import Conduct, Reply, not_rendered
from ..tasks.storage import Piece
from .ranges import file_reply


class Answers:
    """`closing` ends the answers that hang."""

    def __init__(self, gallery: Gallery, closing: asyncio.Event) -> None:
        self._gallery = gallery
        self._closing = closing

    def __repr__(self) -> str:
        return f"Answers({self._gallery!r})"

    async def perform(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        """Carry out the core's reply on the connection."""
        if reply.delay:
            await asyncio.sleep(reply.delay)
        match reply.conduct:
            case Conduct.HANG:
                await self._closing.wait()
                _reset(request)
            case Conduct.RESET:
                _reset(request)
            case Conduct.ANSWER:
                pass
        return _response(reply)

    async def send(self, request: web.Request, piece: Piece | Reply) -> web.StreamResponse:
        """Answer a download: with the file or the requested range of it, or with the reply in its place."""
        if isinstance(piece, Reply):
            return await self.perform(request, piece)
        if piece.delay:
            await asyncio.sleep(piece.delay)
        try:
            body = await self._gallery.get(piece)
        except MissingExtraError as error:
            return _response(not_rendered(str(error)))
        if piece.conduct is not Conduct.ANSWER:
            return await self._break_off(request, piece, body)
        headers = {name.lower(): value for name, value in request.headers.items()}
        response = _response(file_reply(body, piece.content_type, headers))
        if piece.request_id:
            response.headers["x-cos-request-id"] = piece.request_id
        return response

    async def _break_off(self, request: web.Request, piece: Piece, body: bytes) -> web.StreamResponse:
        """Send half the file, then hang or reset the connection."""
        response = web.StreamResponse(headers={"Content-Type": piece.content_type, "Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        if piece.conduct is Conduct.HANG:
            await self._closing.wait()
        _reset(request)
        return response


def _reset(request: web.Request) -> None:
    """Reset the connection by an RST, unlike the orderly end of a server that has finished."""
    transport = request.transport
    if transport is None:
        return
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, reason=reply.reason, headers=reply.headers, body=reply.body)
