"""The interactive API page and its document, served from here: the page loads nothing from elsewhere."""

from importlib.metadata import distribution
from typing import Any

import msgspec
from litestar import MediaType, Response, get
from litestar.static_files import create_static_files_router

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Entrepôt API</title>
<link rel="stylesheet" href="/api/v1/docs/assets/swagger-ui.css">
<link rel="icon" href="/api/v1/docs/assets/favicon-32x32.png"></head>
<body><div id="page"></div><script src="/api/v1/docs/assets/swagger-ui-bundle.js"></script>
<script src="/api/v1/docs/start.js"></script></body></html>
"""
START = """SwaggerUIBundle({url: "/api/v1/openapi.json", dom_id: "#page", docExpansion: "list", deepLinking: true,
  tryItOutEnabled: true, persistAuthorization: true});
"""
# Only the files of this package are wanted; importing it would bring a template engine.
ASSETS = str(distribution("swagger-ui-py").locate_file("swagger_ui/static"))
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"


def pages(document: dict[str, Any]) -> list[Any]:
    """The Litestar handlers of the documentation."""
    described = msgspec.json.encode(document)

    @get("/api/v1/openapi.json", include_in_schema=False)
    async def openapi() -> Response[bytes]:
        return Response(described, media_type="application/json")

    @get("/api/v1/docs", include_in_schema=False)
    async def page() -> Response[str]:
        return Response(PAGE, media_type=MediaType.HTML, headers={"content-security-policy": POLICY})

    @get("/api/v1/docs/start.js", include_in_schema=False)
    async def start() -> Response[str]:
        return Response(START, media_type="text/javascript")

    assets = create_static_files_router("/api/v1/docs/assets", [ASSETS], include_in_schema=False)
    return [openapi, page, start, assets]
