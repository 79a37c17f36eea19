"""The routes of the server."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from slmc_runtime import answers, metrics, parameters
from slmc_runtime.config import EMBEDDINGS, TEXT_GENERATION
from slmc_runtime.errors import ApiError
from slmc_runtime.health import Health
from slmc_runtime.inference import Endpoint, Server, error_response


def application(server: Server, health: Health) -> Starlette:
    """Only the endpoints of the run's task are there."""
    run = server.run

    async def live(request: Request) -> Response:
        status, body = health.live()
        return JSONResponse(body, status)

    async def ready(request: Request) -> Response:
        status, body = health.ready()
        return JSONResponse(body, status)

    async def exposed(request: Request) -> Response:
        status, _ = health.ready()
        return Response(server.metrics.render(status == 200), media_type=metrics.CONTENT_TYPE)

    async def models(request: Request) -> Response:
        return JSONResponse(answers.models(run.model))

    async def model(request: Request) -> Response:
        if request.path_params["name"] not in parameters.names(run):
            raise HTTPException(404)
        return JSONResponse(answers.one_model(run.model))

    routes: list[BaseRoute] = [
        Route("/livez", live),
        Route("/readyz", ready),
        Route("/metrics", exposed),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", model),
        *(Route(path, endpoint, methods=["POST"]) for path, endpoint in _endpoints(server).items()),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _no_route})


def _endpoints(server: Server) -> dict[str, Endpoint]:
    if server.run.task == TEXT_GENERATION:
        return {
            "/v1/chat/completions": Endpoint(server, parameters.chat, answers.chat_text),
            "/v1/completions": Endpoint(server, parameters.completion, answers.completion_text),
        }
    if server.run.task == EMBEDDINGS:
        return {"/v1/embeddings": Endpoint(server, parameters.embeddings, listed=answers.embeddings)}
    classify = Endpoint(server, parameters.classification, listed=answers.classification)
    return {"/v1/classify": classify, "/classify": classify}


async def _no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:
        return error_response(ApiError(405, "The endpoint does not have this method.", "method_not_allowed"))
    return error_response(ApiError(status, "There is no such endpoint or model here.", "not_found"))
